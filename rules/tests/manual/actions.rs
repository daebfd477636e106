//! The actions, and the options of `ctl`.

use super::{FORM, Refused, With, Works, check};

#[test]
fn every_action_is_accepted_and_works_or_is_refused_with_what_to_do_instead() {
    let rows = [
        ("accuracy", Works("SecAction \"id:1,phase:1,pass,accuracy:9\"\n")),
        (
            "allow",
            Works("SecAction \"id:1,phase:1,allow\"\nSecAction \"id:2,phase:1,pass\"\n"),
        ),
        (
            "append",
            Refused("SecAction \"id:1,phase:1,pass,append:x\"\n", "not rewritten"),
        ),
        ("auditlog", Works("SecAction \"id:1,phase:1,pass,auditlog\"\n")),
        (
            "block",
            Works(
                "SecDefaultAction \"phase:1,log,deny\"\nSecAction \"id:1,phase:1,block\"\nSecAction \"id:2,phase:1,pass\"\n",
            ),
        ),
        (
            "capture",
            Works(
                "SecRule ARGS:q \"@rx v(.)\" \"id:2,phase:1,nolog,pass,capture\"\nSecRule TX:1 \"@streq a\" \"id:1,phase:1,pass\"\n",
            ),
        ),
        (
            "chain",
            Works(
                "SecRule ARGS:q \"@streq value\" \"id:1,phase:1,pass,chain\"\n  SecRule SERVER_PORT \"@eq 8080\" \"t:none\"\n",
            ),
        ),
        (
            "deny",
            Works("SecAction \"id:1,phase:1,deny\"\nSecAction \"id:2,phase:1,pass\"\n"),
        ),
        (
            "deprecatevar",
            Works("SecAction \"id:1,phase:1,pass,initcol:ip=x,deprecatevar:ip.n=1/60\"\n"),
        ),
        ("drop", Refused("SecAction \"id:1,phase:1,pass,drop\"\n", "deny")),
        (
            "exec",
            Refused("SecAction \"id:1,phase:1,pass,exec:/bin/true\"\n", "programs"),
        ),
        (
            "expirevar",
            Works("SecAction \"id:1,phase:1,pass,initcol:ip=x,expirevar:ip.n=60\"\n"),
        ),
        ("id", Works("SecAction \"id:1,phase:1,pass\"\n")),
        (
            "initcol",
            Works("SecAction \"id:1,phase:1,pass,initcol:ip=%{REMOTE_ADDR}\"\n"),
        ),
        ("log", Works("SecAction \"id:1,phase:1,pass,log\"\n")),
        (
            "logdata",
            Works("SecAction \"id:1,phase:1,pass,logdata:'x %{ARGS.q}'\"\n"),
        ),
        ("maturity", Works("SecAction \"id:1,phase:1,pass,maturity:9\"\n")),
        ("msg", Works("SecAction \"id:1,phase:1,pass,msg:'x'\"\n")),
        (
            "multiMatch",
            Works(
                "SecRule ARGS:q \"@rx ^(?i:VALUE)$\" \"id:2,phase:1,nolog,pass,t:uppercase,multiMatch,setvar:tx.n=+1\"\nSecRule TX:n \"@eq 2\" \"id:1,phase:1,pass\"\n",
            ),
        ),
        (
            "noauditlog",
            Works("SecAction \"id:1,phase:1,pass,noauditlog\"\n"),
        ),
        (
            "nolog",
            Works("SecAction \"id:2,phase:1,pass,nolog,noauditlog\"\nSecAction \"id:1,phase:1,pass\"\n"),
        ),
        ("pass", Works("SecAction \"id:1,phase:1,pass\"\n")),
        (
            "pause",
            Refused("SecAction \"id:1,phase:1,pass,pause:1000\"\n", "limits"),
        ),
        ("phase", Works("SecAction \"id:1,phase:5,pass\"\n")),
        (
            "prepend",
            Refused("SecAction \"id:1,phase:1,pass,prepend:x\"\n", "not rewritten"),
        ),
        (
            "proxy",
            Refused("SecAction \"id:1,phase:1,pass,proxy:http://x/\"\n", "routes"),
        ),
        (
            "redirect",
            Refused("SecAction \"id:1,phase:1,pass,redirect:http://x/\"\n", "deny"),
        ),
        ("rev", Works("SecAction \"id:1,phase:1,pass,rev:1\"\n")),
        (
            "sanitiseArg",
            Refused("SecAction \"id:1,phase:1,pass,sanitiseArg:q\"\n", "redaction"),
        ),
        (
            "sanitiseMatched",
            Refused("SecAction \"id:1,phase:1,pass,sanitiseMatched\"\n", "redaction"),
        ),
        (
            "sanitiseMatchedBytes",
            Refused(
                "SecAction \"id:1,phase:1,pass,sanitiseMatchedBytes\"\n",
                "redaction",
            ),
        ),
        (
            "sanitiseRequestHeader",
            Refused(
                "SecAction \"id:1,phase:1,pass,sanitiseRequestHeader:x\"\n",
                "redaction",
            ),
        ),
        (
            "sanitiseResponseHeader",
            Refused(
                "SecAction \"id:1,phase:1,pass,sanitiseResponseHeader:x\"\n",
                "redaction",
            ),
        ),
        (
            "setenv",
            Refused("SecAction \"id:1,phase:1,pass,setenv:x=1\"\n", "process"),
        ),
        ("setrsc", Works("SecAction \"id:1,phase:1,pass,setrsc:r\"\n")),
        ("setsid", Works("SecAction \"id:1,phase:1,pass,setsid:s\"\n")),
        ("setuid", Works("SecAction \"id:1,phase:1,pass,setuid:u\"\n")),
        (
            "setvar",
            Works(
                "SecAction \"id:2,phase:1,nolog,pass,setvar:tx.n=1,setvar:tx.n=+2,setvar:tx.m=1,setvar:!tx.m\"\nSecRule TX:n \"@eq 3\" \"id:1,phase:1,pass,chain\"\n  SecRule &TX:m \"@eq 0\" \"t:none\"\n",
            ),
        ),
        (
            "severity",
            Works("SecAction \"id:1,phase:1,pass,severity:CRITICAL\"\n"),
        ),
        (
            "skip",
            Works(
                "SecAction \"id:3,phase:1,nolog,pass,skip:1\"\nSecAction \"id:2,phase:1,pass\"\nSecAction \"id:1,phase:1,pass\"\n",
            ),
        ),
        (
            "skipAfter",
            Works(
                "SecAction \"id:3,phase:1,nolog,pass,skipAfter:END\"\nSecAction \"id:2,phase:1,pass\"\nSecMarker END\nSecAction \"id:1,phase:1,pass\"\n",
            ),
        ),
        ("status", Works("SecAction \"id:1,phase:1,pass,status:404\"\n")),
        (
            "t",
            Works("SecRule ARGS:q \"@streq VALUE\" \"id:1,phase:1,pass,t:uppercase\"\n"),
        ),
        ("tag", Works("SecAction \"id:1,phase:1,pass,tag:'x'\"\n")),
        ("ver", Works("SecAction \"id:1,phase:1,pass,ver:'1'\"\n")),
        (
            "xmlns",
            Refused("SecAction \"id:1,phase:1,pass,xmlns:x=urn:x\"\n", "XPath"),
        ),
    ];
    check(&rows);
}

#[test]
fn every_option_of_ctl_is_accepted_and_works_or_is_refused_with_what_to_do_instead() {
    let rows = [
        (
            "auditEngine",
            Works("SecAction \"id:1,phase:1,pass,ctl:auditEngine=Off\"\n"),
        ),
        (
            "auditLogParts",
            Works("SecAction \"id:1,phase:1,pass,ctl:auditLogParts=+E\"\n"),
        ),
        (
            "debugLogLevel",
            Refused(
                "SecAction \"id:1,phase:1,pass,ctl:debugLogLevel=9\"\n",
                "rules explain",
            ),
        ),
        (
            "forceRequestBodyVariable",
            With(
                "application/json",
                "{}",
                "SecAction \"id:2,phase:1,nolog,pass,ctl:forceRequestBodyVariable=On\"\nSecRule REQUEST_BODY \"@streq {}\" \"id:1,phase:2,pass\"\n",
            ),
        ),
        (
            "hashEngine",
            Refused(
                "SecAction \"id:1,phase:1,pass,ctl:hashEngine=On\"\n",
                "not signed",
            ),
        ),
        (
            "hashEnforcement",
            Refused(
                "SecAction \"id:1,phase:1,pass,ctl:hashEnforcement=On\"\n",
                "not signed",
            ),
        ),
        (
            "parseXmlIntoArgs",
            With(
                "text/xml",
                "<a><b>1</b></a>",
                "SecAction \"id:2,phase:1,nolog,pass,ctl:parseXmlIntoArgs=On\"\nSecRule ARGS_POST:xml.a.b \"@streq 1\" \"id:1,phase:2,pass,chain\"\n  SecRule XML:/* \"@streq 1\" \"t:none\"\n",
            ),
        ),
        (
            "requestBodyAccess",
            With(
                FORM,
                "x=1",
                "SecAction \"id:1,phase:1,pass,ctl:requestBodyAccess=Off\"\nSecRule ARGS_POST:x \"@streq 1\" \"id:2,phase:2,pass\"\n",
            ),
        ),
        (
            "requestBodyLimit",
            Refused(
                "SecAction \"id:1,phase:1,pass,ctl:requestBodyLimit=1000\"\n",
                "body_bytes_max",
            ),
        ),
        (
            "requestBodyProcessor",
            With(
                "text/plain",
                "{\"a\":1}",
                "SecAction \"id:2,phase:1,nolog,pass,ctl:requestBodyProcessor=JSON\"\nSecRule ARGS:json.a \"@eq 1\" \"id:1,phase:2,pass\"\n",
            ),
        ),
        (
            "responseBodyAccess",
            Works(
                "SecAction \"id:2,phase:1,nolog,pass,ctl:responseBodyAccess=On\"\nSecRule RESPONSE_BODY \"@streq page\" \"id:1,phase:4,pass\"\n",
            ),
        ),
        (
            "responseBodyLimit",
            Refused(
                "SecAction \"id:1,phase:1,pass,ctl:responseBodyLimit=1000\"\n",
                "response_bytes_max",
            ),
        ),
        (
            "ruleEngine",
            Works("SecAction \"id:1,phase:1,pass,ctl:ruleEngine=Off\"\nSecAction \"id:2,phase:1,pass\"\n"),
        ),
        (
            "ruleRemoveById",
            Works(
                "SecAction \"id:1,phase:1,pass,ctl:ruleRemoveById=2\"\nSecRule ARGS \"@streq value\" \"id:2,phase:1,pass,tag:'x',msg:'y'\"\n",
            ),
        ),
        (
            "ruleRemoveByTag",
            Works(
                "SecAction \"id:1,phase:1,pass,ctl:ruleRemoveByTag=x\"\nSecRule ARGS \"@streq value\" \"id:2,phase:1,pass,tag:'x',msg:'y'\"\n",
            ),
        ),
        (
            "ruleRemoveByMsg",
            Works(
                "SecAction \"id:1,phase:1,pass,ctl:ruleRemoveByMsg=y\"\nSecRule ARGS \"@streq value\" \"id:2,phase:1,pass,tag:'x',msg:'y'\"\n",
            ),
        ),
        (
            "ruleRemoveTargetById",
            Works(
                "SecAction \"id:1,phase:1,pass,ctl:ruleRemoveTargetById=2;ARGS:q\"\nSecRule ARGS \"@streq value\" \"id:2,phase:1,pass,tag:'x',msg:'y'\"\n",
            ),
        ),
        (
            "ruleRemoveTargetByTag",
            Works(
                "SecAction \"id:1,phase:1,pass,ctl:ruleRemoveTargetByTag=x;ARGS:q\"\nSecRule ARGS \"@streq value\" \"id:2,phase:1,pass,tag:'x',msg:'y'\"\n",
            ),
        ),
        (
            "ruleRemoveTargetByMsg",
            Works(
                "SecAction \"id:1,phase:1,pass,ctl:ruleRemoveTargetByMsg=y;ARGS:q\"\nSecRule ARGS \"@streq value\" \"id:2,phase:1,pass,tag:'x',msg:'y'\"\n",
            ),
        ),
    ];
    check(&rows);
}
