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
    TimeEpoch,
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
}

/// How many of the first variants are stored collections.
pub(crate) const COLLECTIONS: usize = Var::MatchedVars as usize + 1;
/// How many slots hold stored values at all.
pub(crate) const STORED: usize = Var::UniqueId as usize + 1;

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
    ("FULL_REQUEST_LENGTH", Var::FullRequestLength),
    ("MATCHED_VAR", Var::MatchedVar),
    ("MATCHED_VARS", Var::MatchedVars),
    ("MATCHED_VARS_NAMES", Var::MatchedVarsNames),
    ("MATCHED_VAR_NAME", Var::MatchedVarName),
    ("MULTIPART_FILENAME", Var::Files),
    ("MULTIPART_NAME", Var::FilesNames),
    ("MULTIPART_PART_HEADERS", Var::MultipartPartHeaders),
    ("MULTIPART_STRICT_ERROR", Var::MultipartStrictError),
    ("MULTIPART_UNMATCHED_BOUNDARY", Var::MultipartUnmatchedBoundary),
    ("QUERY_STRING", Var::QueryString),
    ("REMOTE_ADDR", Var::RemoteAddr),
    ("REMOTE_PORT", Var::RemotePort),
    ("REQBODY_ERROR", Var::ReqbodyError),
    ("REQBODY_ERROR_MSG", Var::ReqbodyErrorMsg),
    ("REQBODY_PROCESSOR", Var::ReqbodyProcessor),
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
    ("TIME_EPOCH", Var::TimeEpoch),
    ("TX", Var::Tx),
    ("UNIQUE_ID", Var::UniqueId),
    ("XML", Var::Xml),
];

impl Var {
    /// The variable of a name, without regard to case.
    pub(crate) fn named(name: &str) -> Option<Self> {
        TABLE
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, var)| *var)
    }

    /// The name rules and logs use.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::XmlText | Self::XmlAttributes => "XML",
            _ => TABLE
                .iter()
                .find(|(_, var)| *var == self)
                .map_or("", |(name, _)| name),
        }
    }
}
