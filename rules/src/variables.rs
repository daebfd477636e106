//! The variables rules can name. One row each; unknown names are refused at load.

/// A variable of SecLang.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
#[expect(
    clippy::enum_variant_names,
    reason = "SecLang calls one of its variables MATCHED_VAR"
)]
pub(crate) enum Var {
    // Collections held as lists of (name, value).
    ArgsGet,
    ArgsPost,
    RequestHeaders,
    RequestCookies,
    Files,
    FilesNames,
    FilesSizes,
    FilesTmpContent,
    MultipartPartHeaders,
    XmlText,
    XmlAttributes,
    ResponseHeaders,
    MatchedVars,
    // Scalars.
    AuthType,
    FilesCombinedSize,
    InboundDataError,
    MultipartStrictError,
    MultipartUnmatchedBoundary,
    OutboundDataError,
    QueryString,
    RemoteAddr,
    RemotePort,
    RemoteUser,
    ReqbodyError,
    ReqbodyErrorMsg,
    ReqbodyProcessor,
    RequestBasename,
    RequestBody,
    RequestBodyLength,
    RequestFilename,
    RequestLine,
    RequestMethod,
    RequestProtocol,
    RequestUri,
    RequestUriRaw,
    ResponseBody,
    ResponseContentLength,
    ResponseContentType,
    ResponseProtocol,
    ResponseStatus,
    ServerAddr,
    ServerName,
    ServerPort,
    StatusLine,
    Time,
    TimeDay,
    TimeEpoch,
    TimeHour,
    TimeMin,
    TimeMon,
    TimeSec,
    TimeWday,
    TimeYear,
    UniqueId,
    // Views, made when asked for.
    Duration,
    FullRequest,
    FullRequestLength,
    HighestSeverity,
    Rule,
    SessionId,
    UrlencodedError,
    UserId,
    Args,
    ArgsNames,
    ArgsGetNames,
    ArgsPostNames,
    ArgsCombinedSize,
    MatchedVar,
    MatchedVarName,
    MatchedVarsNames,
    RequestHeadersNames,
    RequestCookiesNames,
    ResponseHeadersNames,
    Tx,
    Xml,
    // Persistent collections.
    Global,
    Ip,
    Resource,
    Session,
    User,
}

/// How many of the first variants are stored collections.
pub(crate) const COLLECTIONS: usize = Var::MatchedVars as usize + 1;
/// How many slots hold stored values at all.
pub(crate) const STORED: usize = Var::UniqueId as usize + 1;
/// Sets of stored variables are kept as bits of one word.
const _: () = assert!(STORED <= 64);

/// The persistent collections.
pub(crate) const PERSISTENT: [Var; 5] = [Var::Global, Var::Ip, Var::Resource, Var::Session, Var::User];

/// Names and the variables they stand for.
pub(crate) const TABLE: &[(&str, Var)] = &[
    ("ARGS", Var::Args),
    ("ARGS_COMBINED_SIZE", Var::ArgsCombinedSize),
    ("ARGS_GET", Var::ArgsGet),
    ("ARGS_GET_NAMES", Var::ArgsGetNames),
    ("ARGS_NAMES", Var::ArgsNames),
    ("ARGS_POST", Var::ArgsPost),
    ("ARGS_POST_NAMES", Var::ArgsPostNames),
    ("AUTH_TYPE", Var::AuthType),
    ("DURATION", Var::Duration),
    ("FILES", Var::Files),
    ("FILES_COMBINED_SIZE", Var::FilesCombinedSize),
    ("FILES_NAMES", Var::FilesNames),
    ("FILES_SIZES", Var::FilesSizes),
    ("FILES_TMP_CONTENT", Var::FilesTmpContent),
    ("FULL_REQUEST", Var::FullRequest),
    ("FULL_REQUEST_LENGTH", Var::FullRequestLength),
    ("GLOBAL", Var::Global),
    ("HIGHEST_SEVERITY", Var::HighestSeverity),
    ("INBOUND_DATA_ERROR", Var::InboundDataError),
    ("IP", Var::Ip),
    ("MATCHED_VAR", Var::MatchedVar),
    ("MATCHED_VARS", Var::MatchedVars),
    ("MATCHED_VARS_NAMES", Var::MatchedVarsNames),
    ("MATCHED_VAR_NAME", Var::MatchedVarName),
    ("MULTIPART_BOUNDARY_QUOTED", Var::MultipartStrictError),
    ("MULTIPART_BOUNDARY_WHITESPACE", Var::MultipartStrictError),
    ("MULTIPART_CRLF_LF_LINES", Var::MultipartStrictError),
    ("MULTIPART_DATA_AFTER", Var::MultipartStrictError),
    ("MULTIPART_DATA_BEFORE", Var::MultipartStrictError),
    ("MULTIPART_DUPLICATE_PART_HEADER", Var::MultipartStrictError),
    ("MULTIPART_FILENAME", Var::Files),
    ("MULTIPART_FILE_LIMIT_EXCEEDED", Var::MultipartStrictError),
    ("MULTIPART_HEADER_FOLDING", Var::MultipartStrictError),
    ("MULTIPART_INVALID_HEADER_FOLDING", Var::MultipartStrictError),
    ("MULTIPART_INVALID_PART", Var::MultipartStrictError),
    ("MULTIPART_INVALID_QUOTING", Var::MultipartStrictError),
    ("MULTIPART_LF_LINE", Var::MultipartStrictError),
    ("MULTIPART_MISSING_SEMICOLON", Var::MultipartStrictError),
    ("MULTIPART_NAME", Var::FilesNames),
    ("MULTIPART_PART_HEADERS", Var::MultipartPartHeaders),
    ("MULTIPART_SEMICOLON_MISSING", Var::MultipartStrictError),
    ("MULTIPART_STRICT_ERROR", Var::MultipartStrictError),
    ("MULTIPART_UNMATCHED_BOUNDARY", Var::MultipartUnmatchedBoundary),
    ("OUTBOUND_DATA_ERROR", Var::OutboundDataError),
    ("PATH_INFO", Var::RequestFilename),
    ("QUERY_STRING", Var::QueryString),
    ("REMOTE_ADDR", Var::RemoteAddr),
    ("REMOTE_HOST", Var::RemoteAddr),
    ("REMOTE_PORT", Var::RemotePort),
    ("REMOTE_USER", Var::RemoteUser),
    ("REQBODY_ERROR", Var::ReqbodyError),
    ("REQBODY_ERROR_MSG", Var::ReqbodyErrorMsg),
    ("REQBODY_PROCESSOR", Var::ReqbodyProcessor),
    ("REQBODY_PROCESSOR_ERROR", Var::ReqbodyError),
    ("REQBODY_PROCESSOR_ERROR_MSG", Var::ReqbodyErrorMsg),
    ("REQUEST_BASENAME", Var::RequestBasename),
    ("REQUEST_BODY", Var::RequestBody),
    ("REQUEST_BODY_LENGTH", Var::RequestBodyLength),
    ("REQUEST_COOKIES", Var::RequestCookies),
    ("REQUEST_COOKIES_NAMES", Var::RequestCookiesNames),
    ("REQUEST_FILENAME", Var::RequestFilename),
    ("REQUEST_HEADERS", Var::RequestHeaders),
    ("REQUEST_HEADERS_NAMES", Var::RequestHeadersNames),
    ("REQUEST_LINE", Var::RequestLine),
    ("REQUEST_METHOD", Var::RequestMethod),
    ("REQUEST_PROTOCOL", Var::RequestProtocol),
    ("REQUEST_URI", Var::RequestUri),
    ("REQUEST_URI_RAW", Var::RequestUriRaw),
    ("RESOURCE", Var::Resource),
    ("RESPONSE_BODY", Var::ResponseBody),
    ("RESPONSE_CONTENT_LENGTH", Var::ResponseContentLength),
    ("RESPONSE_CONTENT_TYPE", Var::ResponseContentType),
    ("RESPONSE_HEADERS", Var::ResponseHeaders),
    ("RESPONSE_HEADERS_NAMES", Var::ResponseHeadersNames),
    ("RESPONSE_PROTOCOL", Var::ResponseProtocol),
    ("RESPONSE_STATUS", Var::ResponseStatus),
    ("RULE", Var::Rule),
    ("SERVER_ADDR", Var::ServerAddr),
    ("SERVER_NAME", Var::ServerName),
    ("SERVER_PORT", Var::ServerPort),
    ("SESSION", Var::Session),
    ("SESSIONID", Var::SessionId),
    ("STATUS_LINE", Var::StatusLine),
    ("TIME", Var::Time),
    ("TIME_DAY", Var::TimeDay),
    ("TIME_EPOCH", Var::TimeEpoch),
    ("TIME_HOUR", Var::TimeHour),
    ("TIME_MIN", Var::TimeMin),
    ("TIME_MON", Var::TimeMon),
    ("TIME_SEC", Var::TimeSec),
    ("TIME_WDAY", Var::TimeWday),
    ("TIME_YEAR", Var::TimeYear),
    ("TX", Var::Tx),
    ("UNIQUE_ID", Var::UniqueId),
    ("URLENCODED_ERROR", Var::UrlencodedError),
    ("USER", Var::User),
    ("USERAGENT_IP", Var::RemoteAddr),
    ("USERID", Var::UserId),
    ("XML", Var::Xml),
];

/// Variables that other engines have and Weir refuses, and what to use instead.
const REFUSED: &[(&str, &str)] = &[
    (
        "ARGS_GET_NAMES_RAW",
        "look at `QUERY_STRING`, which is not decoded",
    ),
    ("ARGS_GET_RAW", "look at `QUERY_STRING`, which is not decoded"),
    (
        "ARGS_NAMES_RAW",
        "look at `QUERY_STRING|REQUEST_BODY`, which are not decoded",
    ),
    (
        "ARGS_POST_NAMES_RAW",
        "look at `REQUEST_BODY`, which is not decoded",
    ),
    ("ARGS_POST_RAW", "look at `REQUEST_BODY`, which is not decoded"),
    (
        "ARGS_RAW",
        "look at `QUERY_STRING|REQUEST_BODY`, which are not decoded",
    ),
    (
        "ENV",
        "rules do not see the process; set a TX variable, or give the tenant one in `waf.crs`",
    ),
    (
        "FILES_TMPNAMES",
        "uploads are not written to files; look at `FILES_TMP_CONTENT`",
    ),
    ("GEO", "countries are decided by the geo policy of the tenant"),
    (
        "MODSEC_BUILD",
        "Weir is no ModSecurity; `weir rules check` says whether rules can run",
    ),
    (
        "MSC_PCRE_ERROR",
        "patterns run in linear time and have no limit to exceed",
    ),
    (
        "MSC_PCRE_LIMITS_EXCEEDED",
        "patterns run in linear time and have no limit to exceed",
    ),
    (
        "MULTIPART_FILE_NAME_CHARSET",
        "a file name is `FILES`, as it was sent",
    ),
    (
        "MULTIPART_FILE_NAME_LANGUAGE",
        "a file name is `FILES`, as it was sent",
    ),
    (
        "PERF_ALL",
        "use `weir rules bench`, or `weir_waf_*` of the metrics",
    ),
    (
        "PERF_COMBINED",
        "use `weir rules bench`, or `weir_waf_*` of the metrics",
    ),
    (
        "PERF_GC",
        "use `weir rules bench`, or `weir_waf_*` of the metrics",
    ),
    (
        "PERF_LOGGING",
        "use `weir rules bench`, or `weir_waf_*` of the metrics",
    ),
    (
        "PERF_PHASE1",
        "use `weir rules bench`, or `weir_waf_*` of the metrics",
    ),
    (
        "PERF_PHASE2",
        "use `weir rules bench`, or `weir_waf_*` of the metrics",
    ),
    (
        "PERF_PHASE3",
        "use `weir rules bench`, or `weir_waf_*` of the metrics",
    ),
    (
        "PERF_PHASE4",
        "use `weir rules bench`, or `weir_waf_*` of the metrics",
    ),
    (
        "PERF_PHASE5",
        "use `weir rules bench`, or `weir_waf_*` of the metrics",
    ),
    (
        "PERF_RULES",
        "use `weir rules bench`, or `weir_waf_*` of the metrics",
    ),
    (
        "PERF_SREAD",
        "use `weir rules bench`, or `weir_waf_*` of the metrics",
    ),
    (
        "PERF_SWRITE",
        "use `weir rules bench`, or `weir_waf_*` of the metrics",
    ),
    (
        "SCRIPT_BASENAME",
        "a proxy sees no files; look at `REQUEST_BASENAME`",
    ),
    (
        "SCRIPT_FILENAME",
        "a proxy sees no files; look at `REQUEST_FILENAME`",
    ),
    ("SCRIPT_GID", "a proxy sees no files"),
    ("SCRIPT_GROUPNAME", "a proxy sees no files"),
    ("SCRIPT_MODE", "a proxy sees no files"),
    ("SCRIPT_UID", "a proxy sees no files"),
    ("SCRIPT_USERNAME", "a proxy sees no files"),
    ("SDBM_DELETE_ERROR", "persistent collections are kept in memory"),
    (
        "STREAM_INPUT_BODY",
        "bodies are not rewritten; look at `REQUEST_BODY` with `ctl:forceRequestBodyVariable=On`",
    ),
    (
        "STREAM_OUTPUT_BODY",
        "bodies are not rewritten; look at `RESPONSE_BODY`",
    ),
    ("WEBAPPID", "tenants are apart already"),
    ("WEBSERVER_ERROR_LOG", "the origin's log is its own"),
];

/// Why a variable is refused, if it is.
pub(crate) fn refused(name: &str) -> Option<&'static str> {
    let found = REFUSED.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, why)| *why)
}

/// What `RULE` holds.
pub(crate) const RULE_FIELDS: [&str; 4] = ["id", "logdata", "msg", "severity"];

impl Var {
    /// The variable of a name, without regard to case.
    pub(crate) fn named(name: &str) -> Option<Self> {
        TABLE
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, var)| *var)
    }

    /// What is wrong with a key of this variable; `None` when nothing is.
    pub(crate) fn bad_key(self, key: &str) -> Option<String> {
        let unknown = self == Self::Rule && !RULE_FIELDS.iter().any(|field| field.eq_ignore_ascii_case(key));
        unknown.then(|| format!("`RULE:{key}` is refused: a rule has `id`, `logdata`, `msg` and `severity`"))
    }

    /// Where a persistent collection is among the five.
    pub(crate) fn persistent(self) -> Option<usize> {
        PERSISTENT.iter().position(|var| *var == self)
    }

    /// The name rules and logs use.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::XmlText | Self::XmlAttributes => "XML",
            // These have further names.
            Self::Files => "FILES",
            Self::FilesNames => "FILES_NAMES",
            Self::MultipartStrictError => "MULTIPART_STRICT_ERROR",
            Self::RemoteAddr => "REMOTE_ADDR",
            Self::RequestFilename => "REQUEST_FILENAME",
            _ => TABLE
                .iter()
                .find(|(_, var)| *var == self)
                .map_or("", |(name, _)| name),
        }
    }
}
