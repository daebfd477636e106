//! The directives.

use super::{FORM, Loads, Refused, With, Works, check};

#[test]
fn every_directive_is_accepted_and_works_or_is_refused_with_what_to_do_instead() {
    let rows = [
        ("Include", Works("Include more.conf\n")),
        ("SecAction", Works("SecAction \"id:1,phase:1,pass\"\n")),
        (
            "SecArgumentSeparator",
            With(
                FORM,
                "a=1;b=2",
                "SecArgumentSeparator ;\nSecRule ARGS:b \"@eq 2\" \"id:1,phase:2,pass\"\n",
            ),
        ),
        (
            "SecArgumentsLimit",
            Works("SecArgumentsLimit 1\nSecRule REQBODY_ERROR \"@eq 1\" \"id:1,phase:2,pass\"\n"),
        ),
        (
            "SecAuditEngine",
            Works("SecAuditEngine On\nSecAction \"id:1,phase:1,pass\"\n"),
        ),
        ("SecAuditLog", Loads("SecAuditLog x\n")),
        ("SecAuditLog2", Loads("SecAuditLog2 x\n")),
        ("SecAuditLogDirMode", Loads("SecAuditLogDirMode x\n")),
        ("SecAuditLogFileMode", Loads("SecAuditLogFileMode x\n")),
        ("SecAuditLogFormat", Loads("SecAuditLogFormat x\n")),
        ("SecAuditLogParts", Loads("SecAuditLogParts x\n")),
        ("SecAuditLogPrefix", Loads("SecAuditLogPrefix x\n")),
        (
            "SecAuditLogRelevantStatus",
            Loads("SecAuditLogRelevantStatus x\n"),
        ),
        ("SecAuditLogStorageDir", Loads("SecAuditLogStorageDir x\n")),
        ("SecAuditLogType", Loads("SecAuditLogType x\n")),
        ("SecCacheTransformations", Loads("SecCacheTransformations x\n")),
        ("SecChrootDir", Loads("SecChrootDir x\n")),
        ("SecCollectionTimeout", Loads("SecCollectionTimeout x\n")),
        ("SecConnEngine", Loads("SecConnEngine x\n")),
        ("SecConnReadStateLimit", Loads("SecConnReadStateLimit x\n")),
        ("SecConnWriteStateLimit", Loads("SecConnWriteStateLimit x\n")),
        ("SecCookieFormat", Loads("SecCookieFormat x\n")),
        ("SecDataDir", Loads("SecDataDir x\n")),
        ("SecDebugLog", Loads("SecDebugLog x\n")),
        ("SecDebugLogLevel", Loads("SecDebugLogLevel x\n")),
        (
            "SecDisableBackendCompression",
            Loads("SecDisableBackendCompression x\n"),
        ),
        ("SecGeoLookupDb", Loads("SecGeoLookupDb x\n")),
        ("SecGsbLookupDb", Loads("SecGsbLookupDb x\n")),
        ("SecGuardianLog", Loads("SecGuardianLog x\n")),
        ("SecHashEngine", Loads("SecHashEngine x\n")),
        ("SecHttpBlKey", Loads("SecHttpBlKey x\n")),
        ("SecInterceptOnError", Loads("SecInterceptOnError x\n")),
        ("SecPcreMatchLimit", Loads("SecPcreMatchLimit x\n")),
        (
            "SecPcreMatchLimitRecursion",
            Loads("SecPcreMatchLimitRecursion x\n"),
        ),
        ("SecReadStateLimit", Loads("SecReadStateLimit x\n")),
        (
            "SecRequestBodyInMemoryLimit",
            Loads("SecRequestBodyInMemoryLimit x\n"),
        ),
        ("SecRequestBodyLimit", Loads("SecRequestBodyLimit x\n")),
        (
            "SecRequestBodyLimitAction",
            Loads("SecRequestBodyLimitAction x\n"),
        ),
        (
            "SecRequestBodyNoFilesLimit",
            Loads("SecRequestBodyNoFilesLimit x\n"),
        ),
        ("SecResponseBodyLimit", Loads("SecResponseBodyLimit x\n")),
        (
            "SecResponseBodyLimitAction",
            Loads("SecResponseBodyLimitAction x\n"),
        ),
        ("SecRuleInheritance", Loads("SecRuleInheritance x\n")),
        ("SecRulePerfTime", Loads("SecRulePerfTime x\n")),
        ("SecRxPreFilter", Loads("SecRxPreFilter x\n")),
        ("SecSensorId", Loads("SecSensorId x\n")),
        ("SecServerSignature", Loads("SecServerSignature x\n")),
        ("SecStatusEngine", Loads("SecStatusEngine x\n")),
        (
            "SecStreamInBodyInspection",
            Loads("SecStreamInBodyInspection x\n"),
        ),
        (
            "SecStreamOutBodyInspection",
            Loads("SecStreamOutBodyInspection x\n"),
        ),
        ("SecTmpDir", Loads("SecTmpDir x\n")),
        ("SecTmpSaveUploadedFiles", Loads("SecTmpSaveUploadedFiles x\n")),
        ("SecUnicodeCodePage", Loads("SecUnicodeCodePage x\n")),
        ("SecUnicodeMapFile", Loads("SecUnicodeMapFile x\n")),
        ("SecUploadDir", Loads("SecUploadDir x\n")),
        ("SecUploadFileLimit", Loads("SecUploadFileLimit x\n")),
        ("SecUploadFileMode", Loads("SecUploadFileMode x\n")),
        ("SecUploadKeepFiles", Loads("SecUploadKeepFiles x\n")),
        ("SecWebAppId", Loads("SecWebAppId x\n")),
        ("SecWriteStateLimit", Loads("SecWriteStateLimit x\n")),
        ("SecXmlExternalEntity", Loads("SecXmlExternalEntity x\n")),
        ("SecComponentSignature", Loads("SecComponentSignature \"x/1\"\n")),
        (
            "SecContentInjection",
            Refused("SecContentInjection On\n", "not rewritten"),
        ),
        ("SecCookieV0Separator", Refused("SecCookieV0Separator ;\n", "`;`")),
        (
            "SecDefaultAction",
            Works(
                "SecDefaultAction \"phase:1,log,pass,t:lowercase\"\nSecRule SERVER_NAME \"@streq acme.test\" \"id:1,phase:1\"\n",
            ),
        ),
        ("SecHashKey", Refused("SecHashKey x\n", "not signed")),
        ("SecHashMethodPm", Refused("SecHashMethodPm x\n", "not signed")),
        ("SecHashMethodRx", Refused("SecHashMethodRx x\n", "not signed")),
        ("SecHashParam", Refused("SecHashParam x\n", "not signed")),
        (
            "SecMarker",
            Works(
                "SecAction \"id:3,phase:1,nolog,pass,skipAfter:END\"\nSecAction \"id:2,phase:1,pass\"\nSecMarker END\nSecAction \"id:1,phase:1,pass\"\n",
            ),
        ),
        (
            "SecParseXmlIntoArgs",
            With(
                "text/xml",
                "<a><b c=\"2\">1</b>3</a>",
                "SecParseXmlIntoArgs OnlyArgs\nSecRule &ARGS_POST \"@eq 3\" \"id:1,phase:2,pass,chain\"\n  SecRule ARGS_POST:xml.a.b.@c \"@eq 2\" \"chain\"\n  SecRule &XML:/* \"@eq 0\" \"t:none\"\n",
            ),
        ),
        ("SecPdfProtect", Refused("SecPdfProtect x\n", "browsers")),
        (
            "SecPdfProtectMethod",
            Refused("SecPdfProtectMethod x\n", "browsers"),
        ),
        (
            "SecPdfProtectSecret",
            Refused("SecPdfProtectSecret x\n", "browsers"),
        ),
        (
            "SecPdfProtectTimeout",
            Refused("SecPdfProtectTimeout x\n", "browsers"),
        ),
        (
            "SecPdfProtectTokenName",
            Refused("SecPdfProtectTokenName x\n", "browsers"),
        ),
        (
            "SecRemoteRules",
            Refused("SecRemoteRules k https://x/\n", "files"),
        ),
        (
            "SecRemoteRulesFailAction",
            Refused("SecRemoteRulesFailAction Abort\n", "files"),
        ),
        (
            "SecRequestBodyAccess",
            With(
                FORM,
                "x=1",
                "SecRequestBodyAccess Off\nSecRule ARGS_POST:x \"@eq 1\" \"id:2,phase:2,pass\"\nSecAction \"id:1,phase:2,pass\"\n",
            ),
        ),
        (
            "SecRequestBodyJsonDepthLimit",
            With(
                "application/json",
                "[[1]]",
                "SecRequestBodyJsonDepthLimit 1\nSecRule REQBODY_ERROR_MSG \"@contains deep\" \"id:1,phase:2,pass\"\n",
            ),
        ),
        (
            "SecResponseBodyAccess",
            Works("SecResponseBodyAccess On\nSecRule RESPONSE_BODY \"@streq page\" \"id:1,phase:4,pass\"\n"),
        ),
        (
            "SecResponseBodyMimeType",
            Works(
                "SecResponseBodyAccess On\nSecResponseBodyMimeType application/json\nSecRule RESPONSE_BODY \"@streq page\" \"id:2,phase:4,pass\"\nSecAction \"id:1,phase:4,pass\"\n",
            ),
        ),
        (
            "SecResponseBodyMimeTypesClear",
            Works(
                "SecResponseBodyAccess On\nSecResponseBodyMimeTypesClear\nSecRule RESPONSE_BODY \"@streq page\" \"id:2,phase:4,pass\"\nSecAction \"id:1,phase:4,pass\"\n",
            ),
        ),
        (
            "SecRule",
            Works("SecRule ARGS:q \"@streq value\" \"id:1,phase:1,pass\"\n"),
        ),
        (
            "SecRuleEngine",
            Works("SecRuleEngine DetectionOnly\nSecAction \"id:1,phase:1,deny\"\n"),
        ),
        (
            "SecRuleRemoveById",
            Works(
                "SecRule ARGS \"@streq value\" \"id:2,phase:1,pass,tag:'x',msg:'y'\"\nSecAction \"id:1,phase:1,pass\"\nSecRuleRemoveById 2\n",
            ),
        ),
        (
            "SecRuleUpdateTargetById",
            Works(
                "SecRule ARGS \"@streq value\" \"id:2,phase:1,pass,tag:'x',msg:'y'\"\nSecAction \"id:1,phase:1,pass\"\nSecRuleUpdateTargetById 2 \"!ARGS:q\"\n",
            ),
        ),
        (
            "SecRuleRemoveByTag",
            Works(
                "SecRule ARGS \"@streq value\" \"id:2,phase:1,pass,tag:'x',msg:'y'\"\nSecAction \"id:1,phase:1,pass\"\nSecRuleRemoveByTag x\n",
            ),
        ),
        (
            "SecRuleUpdateTargetByTag",
            Works(
                "SecRule ARGS \"@streq value\" \"id:2,phase:1,pass,tag:'x',msg:'y'\"\nSecAction \"id:1,phase:1,pass\"\nSecRuleUpdateTargetByTag x \"!ARGS:q\"\n",
            ),
        ),
        (
            "SecRuleRemoveByMsg",
            Works(
                "SecRule ARGS \"@streq value\" \"id:2,phase:1,pass,tag:'x',msg:'y'\"\nSecAction \"id:1,phase:1,pass\"\nSecRuleRemoveByMsg y\n",
            ),
        ),
        (
            "SecRuleUpdateTargetByMsg",
            Works(
                "SecRule ARGS \"@streq value\" \"id:2,phase:1,pass,tag:'x',msg:'y'\"\nSecAction \"id:1,phase:1,pass\"\nSecRuleUpdateTargetByMsg y \"!ARGS:q\"\n",
            ),
        ),
        ("SecRuleScript", Refused("SecRuleScript x.lua\n", "programs")),
        (
            "SecRuleUpdateActionById",
            Works(
                "SecRule ARGS \"@streq value\" \"id:2,phase:1,pass,tag:'x',msg:'y'\"\nSecAction \"id:1,phase:1,pass\"\nSecRuleUpdateActionById 2 \"nolog\"\n",
            ),
        ),
    ];
    check(&rows);
}

#[test]
fn a_directive_that_does_nothing_says_so() {
    let source = weir_rules::Source {
        path: "manual.conf".into(),
        text: "SecRequestBodyLimit 1000\n".to_owned(),
    };
    let warnings = weir_rules::compile(&[source], &super::Shelf).unwrap().warnings;
    assert_eq!(warnings[0].code, "directive_without_effect");
    assert!(
        warnings[0].message.contains("body_bytes_max"),
        "{}",
        warnings[0].message
    );
}

#[test]
fn an_unknown_name_is_an_error_with_the_nearest_one() {
    let lines = [
        ("SecRuleEngin On", "unknown_directive"),
        ("SecRule ARG \"@rx x\" \"id:1,phase:1,pass\"", "unknown_variable"),
        (
            "SecRule ARGS \"@rxx x\" \"id:1,phase:1,pass\"",
            "unknown_operator",
        ),
        (
            "SecRule ARGS \"@rx x\" \"id:1,phase:1,pass,t:lowercas\"",
            "unknown_transformation",
        ),
        ("SecAction \"id:1,phase:1,passs\"", "unknown_action"),
        (
            "SecAction \"id:1,phase:1,pass,ctl:ruleEngin=On\"",
            "unknown_action",
        ),
    ];
    for (line, code) in lines {
        let found = super::errors(&format!("{line}\n"));
        assert_eq!(found.len(), 1, "{line}: {found:?}");
        assert!(found[0].starts_with(code), "{line}: {found:?}");
    }
}
