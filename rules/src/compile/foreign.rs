//! Directives of other engines that do nothing here, and what does instead.

/// Accepted with a warning, so that existing files load and nobody believes that they act.
pub(super) const WITHOUT_EFFECT: &[(&str, &str)] = &[
    ("SecAuditLog", "`observability.audit_log` says where events go"),
    ("SecAuditLog2", "`observability.audit_log` says where events go"),
    (
        "SecAuditLogDirMode",
        "`observability.audit_log` says where events go",
    ),
    (
        "SecAuditLogFileMode",
        "`observability.audit_log` says where events go",
    ),
    (
        "SecAuditLogFormat",
        "`observability.audit_log` says where events go",
    ),
    (
        "SecAuditLogParts",
        "`observability.audit_log` says where events go",
    ),
    (
        "SecAuditLogPrefix",
        "`observability.audit_log` says where events go",
    ),
    (
        "SecAuditLogRelevantStatus",
        "`observability.audit_log` says where events go",
    ),
    (
        "SecAuditLogStorageDir",
        "`observability.audit_log` says where events go",
    ),
    (
        "SecAuditLogType",
        "`observability.audit_log` says where events go",
    ),
    (
        "SecCacheTransformations",
        "results are always kept for the request",
    ),
    ("SecChrootDir", "the service manager confines Weir"),
    (
        "SecCollectionTimeout",
        "a record is over an hour after the last write to it; use `expirevar`",
    ),
    ("SecConnEngine", "limits of the listener and the tenant decide"),
    (
        "SecConnReadStateLimit",
        "limits of the listener and the tenant decide",
    ),
    (
        "SecConnWriteStateLimit",
        "limits of the listener and the tenant decide",
    ),
    (
        "SecCookieFormat",
        "cookies are read as version 0, which is all that browsers send",
    ),
    ("SecDataDir", "persistent collections are kept in memory"),
    ("SecDebugLog", "use `weir rules explain`"),
    ("SecDebugLogLevel", "use `weir rules explain`"),
    (
        "SecDisableBackendCompression",
        "compressed responses are passed on as they are",
    ),
    ("SecGeoLookupDb", "the proxy's geo settings decide"),
    ("SecGsbLookupDb", "a request does not wait for another service"),
    ("SecGuardianLog", "`observability.audit_log` says where events go"),
    ("SecHashEngine", "links are not signed"),
    ("SecHttpBlKey", "a request does not wait for another service"),
    ("SecInterceptOnError", "a fault of the engine is never a pass"),
    (
        "SecPcreMatchLimit",
        "patterns run in linear time, and the work of a request has a budget",
    ),
    (
        "SecPcreMatchLimitRecursion",
        "patterns run in linear time, and the work of a request has a budget",
    ),
    (
        "SecReadStateLimit",
        "limits of the listener and the tenant decide",
    ),
    (
        "SecRequestBodyInMemoryLimit",
        "`waf.body_bytes_max` and `waf.body_over_limit` of the tenant decide",
    ),
    (
        "SecRequestBodyLimit",
        "`waf.body_bytes_max` and `waf.body_over_limit` of the tenant decide",
    ),
    (
        "SecRequestBodyLimitAction",
        "`waf.body_bytes_max` and `waf.body_over_limit` of the tenant decide",
    ),
    (
        "SecRequestBodyNoFilesLimit",
        "`waf.body_bytes_max` and `waf.body_over_limit` of the tenant decide",
    ),
    (
        "SecResponseBodyLimit",
        "`waf.response_bytes_max` of the tenant decides; the part up to it is judged",
    ),
    (
        "SecResponseBodyLimitAction",
        "`waf.response_bytes_max` of the tenant decides; the part up to it is judged",
    ),
    (
        "SecRuleInheritance",
        "a tenant has its shared set and its own rules",
    ),
    ("SecRulePerfTime", "use `weir rules bench`"),
    ("SecRxPreFilter", "patterns are always filtered"),
    ("SecSensorId", "Weir names itself and reports to nobody"),
    ("SecServerSignature", "Weir names itself and reports to nobody"),
    ("SecStatusEngine", "Weir names itself and reports to nobody"),
    ("SecStreamInBodyInspection", "bodies are not rewritten"),
    ("SecStreamOutBodyInspection", "bodies are not rewritten"),
    ("SecTmpDir", "uploads are not written to files"),
    ("SecTmpSaveUploadedFiles", "uploads are not written to files"),
    (
        "SecUnicodeCodePage",
        "the best-fit map of code page 20127 is built in",
    ),
    (
        "SecUnicodeMapFile",
        "the best-fit map of code page 20127 is built in",
    ),
    ("SecUploadDir", "uploads are not written to files"),
    ("SecUploadFileLimit", "uploads are not written to files"),
    ("SecUploadFileMode", "uploads are not written to files"),
    ("SecUploadKeepFiles", "uploads are not written to files"),
    ("SecWebAppId", "tenants are apart already"),
    (
        "SecWriteStateLimit",
        "limits of the listener and the tenant decide",
    ),
    ("SecXmlExternalEntity", "external entities are never read"),
];

/// Refused: a file that needs them would not do what it says.
pub(super) const REFUSED: &[(&str, &str)] = &[
    ("SecContentInjection", "responses are not rewritten by rules"),
    ("SecCookieV0Separator", "cookies are separated by `;` alone"),
    ("SecHashKey", "links are not signed"),
    ("SecHashMethodPm", "links are not signed"),
    ("SecHashMethodRx", "links are not signed"),
    ("SecHashParam", "links are not signed"),
    ("SecPdfProtect", "browsers have closed what it guards"),
    ("SecPdfProtectMethod", "browsers have closed what it guards"),
    ("SecPdfProtectSecret", "browsers have closed what it guards"),
    ("SecPdfProtectTimeout", "browsers have closed what it guards"),
    ("SecPdfProtectTokenName", "browsers have closed what it guards"),
    (
        "SecRemoteRules",
        "rules are files; fetch them before a reload, and check them with `weir rules check`",
    ),
    (
        "SecRemoteRulesFailAction",
        "rules are files; fetch them before a reload, and check them with `weir rules check`",
    ),
    ("SecRuleScript", "rules do not start programs"),
];

/// The row of a name, without regard to case.
pub(super) fn find(table: &[(&str, &'static str)], name: &str) -> Option<&'static str> {
    table
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, why)| *why)
}
