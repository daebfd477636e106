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
    FullRequestLength,
    MultipartStrictError,
    MultipartUnmatchedBoundary,
    QueryString,
    RemoteAddr,
    RemotePort,
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
    ("FILES", Var::Files),
    ("FILES_COMBINED_SIZE", Var::FilesCombinedSize),
    ("FILES_NAMES", Var::FilesNames),
    ("FILES_SIZES", Var::FilesSizes),
    ("FILES_TMP_CONTENT", Var::FilesTmpContent),
    ("FULL_REQUEST_LENGTH", Var::FullRequestLength),
    ("GLOBAL", Var::Global),
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
    ("PATH_INFO", Var::RequestFilename),
    ("QUERY_STRING", Var::QueryString),
    ("REMOTE_ADDR", Var::RemoteAddr),
    ("REMOTE_HOST", Var::RemoteAddr),
    ("REMOTE_PORT", Var::RemotePort),
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
    ("SERVER_ADDR", Var::ServerAddr),
    ("SERVER_NAME", Var::ServerName),
    ("SERVER_PORT", Var::ServerPort),
    ("SESSION", Var::Session),
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
    ("USER", Var::User),
    ("XML", Var::Xml),
];

/// Variables that other engines have and Weir refuses, and why.
pub(crate) const REFUSED: &[(&str, &str)] = &[
    ("DURATION", "rules do not see clocks run"),
    ("ENV", "rules do not see the process"),
    (
        "FILES_TMPNAMES",
        "uploads are not written to files; look at `FILES_TMP_CONTENT`",
    ),
    (
        "FULL_REQUEST",
        "name the parts: REQUEST_LINE, REQUEST_HEADERS, REQUEST_BODY",
    ),
    ("GEO", "countries are decided by the proxy's geo settings"),
    ("HIGHEST_SEVERITY", "use a TX variable"),
    ("RULE", "rules do not see themselves"),
    ("WEBAPPID", "tenants are apart already"),
];

impl Var {
    /// The variable of a name, without regard to case.
    pub(crate) fn named(name: &str) -> Option<Self> {
        TABLE
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, var)| *var)
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
