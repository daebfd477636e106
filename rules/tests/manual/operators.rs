//! The operators.

use super::{FORM, Refused, With, Works, check};

#[test]
fn every_operator_is_accepted_and_works_or_is_refused_with_what_to_do_instead() {
    let rows = [
        (
            "beginsWith",
            Works("SecRule ARGS:q \"@beginsWith val\" \"id:1,phase:2,pass\"\n"),
        ),
        (
            "contains",
            Works("SecRule ARGS:q \"@contains alu\" \"id:1,phase:2,pass\"\n"),
        ),
        (
            "containsWord",
            Works("SecRule REQUEST_LINE \"@containsWord page\" \"id:1,phase:2,pass\"\n"),
        ),
        (
            "endsWith",
            Works("SecRule ARGS:q \"@endsWith lue\" \"id:1,phase:2,pass\"\n"),
        ),
        (
            "detectSQLi",
            Works("SecRule REQUEST_HEADERS:Host \"!@detectSQLi\" \"id:1,phase:2,pass\"\n"),
        ),
        (
            "detectXSS",
            Works("SecRule REQUEST_HEADERS:Host \"!@detectXSS\" \"id:1,phase:2,pass\"\n"),
        ),
        (
            "eq",
            Works("SecRule SERVER_PORT \"@eq 8080\" \"id:1,phase:2,pass\"\n"),
        ),
        (
            "ge",
            Works("SecRule SERVER_PORT \"@ge 8080\" \"id:1,phase:2,pass\"\n"),
        ),
        (
            "gt",
            Works("SecRule SERVER_PORT \"@gt 8079\" \"id:1,phase:2,pass\"\n"),
        ),
        (
            "le",
            Works("SecRule SERVER_PORT \"@le 8080\" \"id:1,phase:2,pass\"\n"),
        ),
        (
            "lt",
            Works("SecRule SERVER_PORT \"@lt 8081\" \"id:1,phase:2,pass\"\n"),
        ),
        (
            "fuzzyHash",
            Refused(
                "SecRule ARGS \"@fuzzyHash x\" \"id:1,phase:2,pass\"\n",
                "no store",
            ),
        ),
        (
            "geoLookup",
            Refused(
                "SecRule ARGS \"@geoLookup x\" \"id:1,phase:2,pass\"\n",
                "geo policy",
            ),
        ),
        (
            "gsbLookup",
            Refused(
                "SecRule ARGS \"@gsbLookup x\" \"id:1,phase:2,pass\"\n",
                "another service",
            ),
        ),
        (
            "inspectFile",
            Refused(
                "SecRule ARGS \"@inspectFile x\" \"id:1,phase:2,pass\"\n",
                "FILES_TMP_CONTENT",
            ),
        ),
        (
            "ipMatch",
            Works("SecRule REMOTE_ADDR \"@ipMatch 10.0.0.0/8,127.0.0.1\" \"id:1,phase:2,pass\"\n"),
        ),
        (
            "ipMatchF",
            Works("SecRule REMOTE_ADDR \"@ipMatchF addresses\" \"id:1,phase:2,pass\"\n"),
        ),
        (
            "ipMatchFromFile",
            Works("SecRule REMOTE_ADDR \"@ipMatchFromFile addresses\" \"id:1,phase:2,pass\"\n"),
        ),
        (
            "noMatch",
            Works("SecRule ARGS:q \"!@noMatch\" \"id:1,phase:2,pass\"\n"),
        ),
        (
            "pm",
            Works("SecRule ARGS:q \"@pm VALUE other\" \"id:1,phase:2,pass\"\n"),
        ),
        (
            "pmf",
            Works("SecRule ARGS:q \"!@pmf words\" \"id:1,phase:2,pass\"\n"),
        ),
        (
            "pmFromFile",
            Works("SecRule ARGS:q \"!@pmFromFile words\" \"id:1,phase:2,pass\"\n"),
        ),
        (
            "rbl",
            Refused(
                "SecRule ARGS \"@rbl x\" \"id:1,phase:2,pass\"\n",
                "ipMatchFromFile",
            ),
        ),
        (
            "rsub",
            Refused("SecRule ARGS \"@rsub x\" \"id:1,phase:2,pass\"\n", "rewritten"),
        ),
        (
            "rx",
            Works("SecRule ARGS:q \"@rx ^v.*e$\" \"id:1,phase:2,pass\"\n"),
        ),
        (
            "rxGlobal",
            Works(
                "SecRule ARGS:q \"@rxGlobal [ae]\" \"id:2,phase:2,nolog,pass,capture\"\nSecRule TX:1 \"@streq e\" \"id:1,phase:2,pass\"\n",
            ),
        ),
        (
            "streq",
            Works("SecRule ARGS:q \"@streq value\" \"id:1,phase:2,pass\"\n"),
        ),
        (
            "strmatch",
            Works("SecRule ARGS:q \"@strmatch alu\" \"id:1,phase:2,pass\"\n"),
        ),
        (
            "unconditionalMatch",
            Works("SecRule ARGS:q \"@unconditionalMatch\" \"id:1,phase:2,pass\"\n"),
        ),
        (
            "validateByteRange",
            Works("SecRule ARGS:q \"@validateByteRange 48-57\" \"id:1,phase:2,pass\"\n"),
        ),
        (
            "validateDTD",
            Refused(
                "SecRule ARGS \"@validateDTD x\" \"id:1,phase:2,pass\"\n",
                "document types",
            ),
        ),
        (
            "validateHash",
            Refused("SecRule ARGS \"@validateHash x\" \"id:1,phase:2,pass\"\n", "hash"),
        ),
        (
            "validateNid",
            Refused(
                "SecRule ARGS \"@validateNid x\" \"id:1,phase:2,pass\"\n",
                "@verify",
            ),
        ),
        (
            "validateSchema",
            Refused(
                "SecRule ARGS \"@validateSchema x\" \"id:1,phase:2,pass\"\n",
                "schema",
            ),
        ),
        (
            "validateUrlEncoding",
            Works("SecRule QUERY_STRING \"@validateUrlEncoding\" \"id:1,phase:2,pass\"\n"),
        ),
        (
            "validateUtf8Encoding",
            Works("SecRule ARGS:q \"!@validateUtf8Encoding\" \"id:1,phase:2,pass\"\n"),
        ),
        (
            "verifyCC",
            With(
                FORM,
                "n=4111111111111111",
                "SecRule ARGS_POST:n \"@verifyCC \\d{13,16}\" \"id:1,phase:2,pass\"\n",
            ),
        ),
        (
            "verifyCPF",
            With(
                FORM,
                "n=52998224725",
                "SecRule ARGS_POST:n \"@verifyCPF \\d{11}\" \"id:1,phase:2,pass\"\n",
            ),
        ),
        (
            "verifySSN",
            With(
                FORM,
                "n=219099999",
                "SecRule ARGS_POST:n \"@verifySSN \\d{9}\" \"id:1,phase:2,pass\"\n",
            ),
        ),
        (
            "verifySVNR",
            With(
                FORM,
                "n=1237010180",
                "SecRule ARGS_POST:n \"@verifySVNR \\d{10}\" \"id:1,phase:2,pass\"\n",
            ),
        ),
        (
            "within",
            Works("SecRule REQUEST_METHOD \"@within GET,POST\" \"id:1,phase:2,pass\"\n"),
        ),
    ];
    check(&rows);
}
