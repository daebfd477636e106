//! The variables from `PERF_COMBINED` on, and variables in texts.

use super::{Refused, UPLOAD, With, Works, check};

#[test]
fn every_variable_from_perf_on_is_accepted_and_works_or_is_refused_with_what_to_do_instead() {
    let rows = [
        (
            "PERF_COMBINED",
            Refused(
                "SecRule PERF_COMBINED \"@rx x\" \"id:1,phase:5,pass\"\n",
                "rules bench",
            ),
        ),
        (
            "PERF_GC",
            Refused("SecRule PERF_GC \"@rx x\" \"id:1,phase:5,pass\"\n", "rules bench"),
        ),
        (
            "PERF_LOGGING",
            Refused(
                "SecRule PERF_LOGGING \"@rx x\" \"id:1,phase:5,pass\"\n",
                "rules bench",
            ),
        ),
        (
            "PERF_PHASE1",
            Refused(
                "SecRule PERF_PHASE1 \"@rx x\" \"id:1,phase:5,pass\"\n",
                "rules bench",
            ),
        ),
        (
            "PERF_PHASE2",
            Refused(
                "SecRule PERF_PHASE2 \"@rx x\" \"id:1,phase:5,pass\"\n",
                "rules bench",
            ),
        ),
        (
            "PERF_PHASE3",
            Refused(
                "SecRule PERF_PHASE3 \"@rx x\" \"id:1,phase:5,pass\"\n",
                "rules bench",
            ),
        ),
        (
            "PERF_PHASE4",
            Refused(
                "SecRule PERF_PHASE4 \"@rx x\" \"id:1,phase:5,pass\"\n",
                "rules bench",
            ),
        ),
        (
            "PERF_PHASE5",
            Refused(
                "SecRule PERF_PHASE5 \"@rx x\" \"id:1,phase:5,pass\"\n",
                "rules bench",
            ),
        ),
        (
            "PERF_RULES",
            Refused(
                "SecRule PERF_RULES \"@rx x\" \"id:1,phase:5,pass\"\n",
                "rules bench",
            ),
        ),
        (
            "PERF_SREAD",
            Refused(
                "SecRule PERF_SREAD \"@rx x\" \"id:1,phase:5,pass\"\n",
                "rules bench",
            ),
        ),
        (
            "PERF_SWRITE",
            Refused(
                "SecRule PERF_SWRITE \"@rx x\" \"id:1,phase:5,pass\"\n",
                "rules bench",
            ),
        ),
        (
            "QUERY_STRING",
            Works("SecRule QUERY_STRING \"@streq q=value&bad=%zz\" \"id:1,phase:5,pass\"\n"),
        ),
        (
            "REMOTE_ADDR",
            Works("SecRule REMOTE_ADDR \"@streq 127.0.0.1\" \"id:1,phase:5,pass\"\n"),
        ),
        (
            "REMOTE_HOST",
            Works("SecRule REMOTE_HOST \"@streq 127.0.0.1\" \"id:1,phase:5,pass\"\n"),
        ),
        (
            "REMOTE_PORT",
            Works("SecRule REMOTE_PORT \"@eq 1234\" \"id:1,phase:5,pass\"\n"),
        ),
        (
            "REMOTE_USER",
            Works("SecRule REMOTE_USER \"@streq alice\" \"id:1,phase:5,pass\"\n"),
        ),
        (
            "REQBODY_ERROR",
            With(
                UPLOAD,
                "--b\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\nx\r\n--b",
                "SecRule REQBODY_ERROR \"@eq 1\" \"id:1,phase:2,pass\"\n",
            ),
        ),
        (
            "REQBODY_PROCESSOR_ERROR",
            With(
                UPLOAD,
                "--b\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\nx\r\n--b",
                "SecRule REQBODY_PROCESSOR_ERROR \"@eq 1\" \"id:1,phase:2,pass\"\n",
            ),
        ),
        (
            "REQBODY_ERROR_MSG",
            With(
                UPLOAD,
                "--b\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\nx\r\n--b",
                "SecRule REQBODY_ERROR_MSG \"@contains boundary\" \"id:1,phase:2,pass\"\n",
            ),
        ),
        (
            "REQBODY_PROCESSOR_ERROR_MSG",
            With(
                UPLOAD,
                "--b\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\nx\r\n--b",
                "SecRule REQBODY_PROCESSOR_ERROR_MSG \"@contains boundary\" \"id:1,phase:2,pass\"\n",
            ),
        ),
        (
            "REQBODY_PROCESSOR",
            Works("SecRule REQBODY_PROCESSOR \"@streq URLENCODED\" \"id:1,phase:5,pass\"\n"),
        ),
        (
            "REQUEST_BASENAME",
            Works("SecRule REQUEST_BASENAME \"@streq page.php\" \"id:1,phase:5,pass\"\n"),
        ),
        (
            "REQUEST_BODY",
            Works("SecRule REQUEST_BODY \"@streq p=posted&x=1\" \"id:1,phase:5,pass\"\n"),
        ),
        (
            "REQUEST_BODY_LENGTH",
            Works("SecRule REQUEST_BODY_LENGTH \"@eq 12\" \"id:1,phase:5,pass\"\n"),
        ),
        (
            "REQUEST_COOKIES",
            Works("SecRule REQUEST_COOKIES:c \"@streq crumb\" \"id:1,phase:5,pass\"\n"),
        ),
        (
            "REQUEST_COOKIES_NAMES",
            Works("SecRule REQUEST_COOKIES_NAMES \"@streq c\" \"id:1,phase:5,pass\"\n"),
        ),
        (
            "REQUEST_FILENAME",
            Works("SecRule REQUEST_FILENAME \"@streq /dir/page.php\" \"id:1,phase:5,pass\"\n"),
        ),
        (
            "REQUEST_HEADERS",
            Works("SecRule REQUEST_HEADERS:host \"@streq acme.test\" \"id:1,phase:5,pass\"\n"),
        ),
        (
            "REQUEST_HEADERS_NAMES",
            Works("SecRule REQUEST_HEADERS_NAMES \"@streq Host\" \"id:1,phase:5,pass\"\n"),
        ),
        (
            "REQUEST_LINE",
            Works("SecRule REQUEST_LINE \"@endsWith HTTP/1.1\" \"id:1,phase:5,pass\"\n"),
        ),
        (
            "REQUEST_METHOD",
            Works("SecRule REQUEST_METHOD \"@streq POST\" \"id:1,phase:5,pass\"\n"),
        ),
        (
            "REQUEST_PROTOCOL",
            Works("SecRule REQUEST_PROTOCOL \"@streq HTTP/1.1\" \"id:1,phase:5,pass\"\n"),
        ),
        (
            "REQUEST_URI",
            Works("SecRule REQUEST_URI \"@beginsWith /dir/page.php?q\" \"id:1,phase:5,pass\"\n"),
        ),
        (
            "REQUEST_URI_RAW",
            Works("SecRule REQUEST_URI_RAW \"@beginsWith /dir\" \"id:1,phase:5,pass\"\n"),
        ),
        (
            "RESPONSE_BODY",
            Works("SecResponseBodyAccess On\nSecRule RESPONSE_BODY \"@streq page\" \"id:1,phase:4,pass\"\n"),
        ),
        (
            "RESPONSE_CONTENT_LENGTH",
            Works("SecRule RESPONSE_CONTENT_LENGTH \"@eq 4\" \"id:1,phase:5,pass\"\n"),
        ),
        (
            "RESPONSE_CONTENT_TYPE",
            Works("SecRule RESPONSE_CONTENT_TYPE \"@streq text/html\" \"id:1,phase:5,pass\"\n"),
        ),
        (
            "RESPONSE_HEADERS",
            Works("SecRule RESPONSE_HEADERS:content-type \"@streq text/html\" \"id:1,phase:5,pass\"\n"),
        ),
        (
            "RESPONSE_HEADERS_NAMES",
            Works("SecRule RESPONSE_HEADERS_NAMES \"@streq Content-Type\" \"id:1,phase:5,pass\"\n"),
        ),
        (
            "RESPONSE_PROTOCOL",
            Works("SecRule RESPONSE_PROTOCOL \"@streq HTTP/1.1\" \"id:1,phase:5,pass\"\n"),
        ),
        (
            "RESPONSE_STATUS",
            Works("SecRule RESPONSE_STATUS \"@eq 200\" \"id:1,phase:5,pass\"\n"),
        ),
        ("RULE", Works("SecRule RULE:id \"@eq 1\" \"id:1,phase:5,pass\"\n")),
        (
            "SCRIPT_BASENAME",
            Refused(
                "SecRule SCRIPT_BASENAME \"@rx x\" \"id:1,phase:5,pass\"\n",
                "sees no files",
            ),
        ),
        (
            "SCRIPT_FILENAME",
            Refused(
                "SecRule SCRIPT_FILENAME \"@rx x\" \"id:1,phase:5,pass\"\n",
                "sees no files",
            ),
        ),
        (
            "SCRIPT_GID",
            Refused(
                "SecRule SCRIPT_GID \"@rx x\" \"id:1,phase:5,pass\"\n",
                "sees no files",
            ),
        ),
        (
            "SCRIPT_GROUPNAME",
            Refused(
                "SecRule SCRIPT_GROUPNAME \"@rx x\" \"id:1,phase:5,pass\"\n",
                "sees no files",
            ),
        ),
        (
            "SCRIPT_MODE",
            Refused(
                "SecRule SCRIPT_MODE \"@rx x\" \"id:1,phase:5,pass\"\n",
                "sees no files",
            ),
        ),
        (
            "SCRIPT_UID",
            Refused(
                "SecRule SCRIPT_UID \"@rx x\" \"id:1,phase:5,pass\"\n",
                "sees no files",
            ),
        ),
        (
            "SCRIPT_USERNAME",
            Refused(
                "SecRule SCRIPT_USERNAME \"@rx x\" \"id:1,phase:5,pass\"\n",
                "sees no files",
            ),
        ),
        (
            "SDBM_DELETE_ERROR",
            Refused(
                "SecRule SDBM_DELETE_ERROR \"@rx x\" \"id:1,phase:5,pass\"\n",
                "in memory",
            ),
        ),
        (
            "SERVER_ADDR",
            Works("SecRule SERVER_ADDR \"@streq 127.0.0.1\" \"id:1,phase:5,pass\"\n"),
        ),
        (
            "SERVER_NAME",
            Works("SecRule SERVER_NAME \"@streq acme.test\" \"id:1,phase:5,pass\"\n"),
        ),
        (
            "SERVER_PORT",
            Works("SecRule SERVER_PORT \"@eq 8080\" \"id:1,phase:5,pass\"\n"),
        ),
        (
            "GLOBAL",
            Works(
                "SecAction \"id:2,phase:1,nolog,pass,initcol:global=g,setvar:global.n=5\"\nSecRule GLOBAL:n \"@eq 5\" \"id:1,phase:2,pass\"\n",
            ),
        ),
        (
            "IP",
            Works(
                "SecAction \"id:2,phase:1,nolog,pass,initcol:ip=%{REMOTE_ADDR},setvar:ip.n=5\"\nSecRule IP:n \"@eq 5\" \"id:1,phase:2,pass\"\n",
            ),
        ),
        (
            "RESOURCE",
            Works(
                "SecAction \"id:2,phase:1,nolog,pass,setrsc:r,setvar:resource.n=5\"\nSecRule RESOURCE:n \"@eq 5\" \"id:1,phase:2,pass\"\n",
            ),
        ),
        (
            "SESSION",
            Works(
                "SecAction \"id:2,phase:1,nolog,pass,setsid:s,setvar:session.n=5\"\nSecRule SESSION:n \"@eq 5\" \"id:1,phase:2,pass\"\n",
            ),
        ),
        (
            "USER",
            Works(
                "SecAction \"id:2,phase:1,nolog,pass,setuid:u,setvar:user.n=5\"\nSecRule USER:n \"@eq 5\" \"id:1,phase:2,pass\"\n",
            ),
        ),
        (
            "SESSIONID",
            Works(
                "SecAction \"id:2,phase:1,nolog,pass,setsid:abc\"\nSecRule SESSIONID \"@streq abc\" \"id:1,phase:2,pass\"\n",
            ),
        ),
        (
            "USERID",
            Works(
                "SecAction \"id:2,phase:1,nolog,pass,setuid:bob\"\nSecRule USERID \"@streq bob\" \"id:1,phase:2,pass\"\n",
            ),
        ),
        (
            "TX",
            Works(
                "SecAction \"id:2,phase:1,nolog,pass,setvar:tx.n=5\"\nSecRule TX:n \"@eq 5\" \"id:1,phase:2,pass\"\n",
            ),
        ),
        (
            "STATUS_LINE",
            Works("SecRule STATUS_LINE \"@streq HTTP/1.1 200\" \"id:1,phase:5,pass\"\n"),
        ),
        (
            "STREAM_INPUT_BODY",
            Refused(
                "SecRule STREAM_INPUT_BODY \"@rx x\" \"id:1,phase:5,pass\"\n",
                "REQUEST_BODY",
            ),
        ),
        (
            "STREAM_OUTPUT_BODY",
            Refused(
                "SecRule STREAM_OUTPUT_BODY \"@rx x\" \"id:1,phase:5,pass\"\n",
                "RESPONSE_BODY",
            ),
        ),
        (
            "TIME",
            Works("SecRule TIME \"@streq 12:34:56\" \"id:1,phase:5,pass\"\n"),
        ),
        (
            "TIME_DAY",
            Works("SecRule TIME_DAY \"@eq 25\" \"id:1,phase:5,pass\"\n"),
        ),
        (
            "TIME_EPOCH",
            Works("SecRule TIME_EPOCH \"@eq 1795610096\" \"id:1,phase:5,pass\"\n"),
        ),
        (
            "TIME_HOUR",
            Works("SecRule TIME_HOUR \"@eq 12\" \"id:1,phase:5,pass\"\n"),
        ),
        (
            "TIME_MIN",
            Works("SecRule TIME_MIN \"@eq 34\" \"id:1,phase:5,pass\"\n"),
        ),
        (
            "TIME_MON",
            Works("SecRule TIME_MON \"@eq 10\" \"id:1,phase:5,pass\"\n"),
        ),
        (
            "TIME_SEC",
            Works("SecRule TIME_SEC \"@eq 56\" \"id:1,phase:5,pass\"\n"),
        ),
        (
            "TIME_WDAY",
            Works("SecRule TIME_WDAY \"@eq 3\" \"id:1,phase:5,pass\"\n"),
        ),
        (
            "TIME_YEAR",
            Works("SecRule TIME_YEAR \"@eq 2026\" \"id:1,phase:5,pass\"\n"),
        ),
        (
            "UNIQUE_ID",
            Works("SecRule UNIQUE_ID \"@endsWith 0abc\" \"id:1,phase:5,pass\"\n"),
        ),
        (
            "URLENCODED_ERROR",
            Works("SecRule URLENCODED_ERROR \"@eq 1\" \"id:1,phase:5,pass\"\n"),
        ),
        (
            "USERAGENT_IP",
            Works("SecRule USERAGENT_IP \"@streq 127.0.0.1\" \"id:1,phase:5,pass\"\n"),
        ),
        (
            "WEBAPPID",
            Refused("SecRule WEBAPPID \"@rx x\" \"id:1,phase:5,pass\"\n", "apart"),
        ),
        (
            "WEBSERVER_ERROR_LOG",
            Refused(
                "SecRule WEBSERVER_ERROR_LOG \"@rx x\" \"id:1,phase:5,pass\"\n",
                "origin",
            ),
        ),
        (
            "XML",
            With(
                "text/xml",
                "<a b=\"v\">text</a>",
                "SecRule XML:/* \"@streq text\" \"id:1,phase:2,pass\"\n",
            ),
        ),
    ];
    check(&rows);
}

#[test]
fn a_variable_is_refused_in_a_text_as_it_is_in_a_rule() {
    for text in [
        "%{ENV.HOME}",
        "%{GEO.COUNTRY_CODE}",
        "%{RULE.rev}",
        "%{IP.UPDATE_COUNTER}",
    ] {
        let found = super::errors(&format!("SecAction \"id:1,phase:1,pass,msg:'{text}'\"\n"));
        assert_eq!(found.len(), 1, "{text}");
        assert!(found[0].contains("is refused"), "{found:?}");
    }
}
