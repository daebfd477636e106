-- Requests of one kind for wrk, each with other values, so that nothing can be remembered from one to the next.
-- KIND: get_short, get_10_args, form_2k or json_8k.

local words = {
  "river", "harbour", "lantern", "walnut", "meadow", "copper", "garden", "summer", "window", "market",
  "pepper", "winter", "bottle", "silver", "orange", "travel", "letter", "number", "please", "thanks",
}
local VARIANTS = 512

local function text(seed, bytes, between)
  local parts, length = {}, 0
  while length < bytes do
    seed = (seed * 1103515245 + 12345) % 2147483648
    local word = words[math.floor(seed / 65536) % #words + 1]
    parts[#parts + 1] = word
    length = length + #word + #between
  end
  return table.concat(parts, between)
end

local kinds = {
  get_short = function(i)
    return "GET", "/products/" .. i, nil, nil
  end,
  get_10_args = function(i)
    local args = {}
    for k = 1, 10 do
      args[k] = "field" .. k .. "=" .. text(i * 16 + k, 12, "+")
    end
    return "GET", "/search?" .. table.concat(args, "&"), nil, nil
  end,
  form_2k = function(i)
    local args = {}
    for k = 1, 10 do
      args[k] = "field" .. k .. "=" .. text(i * 16 + k, 190, "+")
    end
    return "POST", "/account/update", "application/x-www-form-urlencoded", table.concat(args, "&")
  end,
  json_8k = function(i)
    local items = {}
    for k = 1, 40 do
      items[k] = string.format(
        '{"id": %d, "name": "%s", "note": "%s", "price": %d.5, "open": true}', i * 64 + k, text(i + k, 12, " "), text(i * 64 + k, 110, " "), k
      )
    end
    return "POST", "/api/orders", "application/json", '{"items": [' .. table.concat(items, ", ") .. "]}"
  end,
}

local requests, at = {}, 0

function init()
  local make = kinds[os.getenv("KIND")]
  for i = 1, VARIANTS do
    local method, path, kind, body = make(i)
    local headers = { ["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64)", ["Accept"] = "*/*", ["Content-Type"] = kind }
    for name, value in pairs(wrk.headers) do
      headers[name] = value
    end
    requests[i] = wrk.format(method, path, headers, body)
  end
end

function request()
  at = at % VARIANTS + 1
  return requests[at]
end
