//! The variables, up to `PATH_INFO`.

use super::{Cut, Refused, UPLOAD, UPLOADED, With, Works, check};

#[test]
fn every_variable_up_to_p_is_accepted_and_works_or_is_refused_with_what_to_do_instead() {
    let rows = [
        (
            "ARGS",
            Works("SecRule ARGS:q \"@streq value\" \"id:1,phase:5,pass\"\n"),
        ),
        (
            "ARGS_COMBINED_SIZE",
            Works("SecRule ARGS_COMBINED_SIZE \"@eq 21\" \"id:1,phase:5,pass\"\n"),
        ),
        (
            "ARGS_GET",
            Works("SecRule ARGS_GET:q \"@streq value\" \"id:1,phase:5,pass\"\n"),
        ),
        (
            "ARGS_GET_NAMES",
            Works("SecRule ARGS_GET_NAMES \"@streq q\" \"id:1,phase:5,pass\"\n"),
        ),
        (
            "ARGS_NAMES",
            Works("SecRule ARGS_NAMES \"@streq p\" \"id:1,phase:5,pass\"\n"),
        ),
        (
            "ARGS_POST",
            Works("SecRule ARGS_POST:p \"@streq posted\" \"id:1,phase:5,pass\"\n"),
        ),
        (
            "ARGS_POST_NAMES",
            Works("SecRule ARGS_POST_NAMES \"@streq p\" \"id:1,phase:5,pass\"\n"),
        ),
        (
            "ARGS_RAW",
            Refused(
                "SecRule ARGS_RAW \"@rx x\" \"id:1,phase:5,pass\"\n",
                "not decoded",
            ),
        ),
        (
            "ARGS_NAMES_RAW",
            Refused(
                "SecRule ARGS_NAMES_RAW \"@rx x\" \"id:1,phase:5,pass\"\n",
                "not decoded",
            ),
        ),
        (
            "ARGS_GET_RAW",
            Refused(
                "SecRule ARGS_GET_RAW \"@rx x\" \"id:1,phase:5,pass\"\n",
                "not decoded",
            ),
        ),
        (
            "ARGS_GET_NAMES_RAW",
            Refused(
                "SecRule ARGS_GET_NAMES_RAW \"@rx x\" \"id:1,phase:5,pass\"\n",
                "not decoded",
            ),
        ),
        (
            "ARGS_POST_RAW",
            Refused(
                "SecRule ARGS_POST_RAW \"@rx x\" \"id:1,phase:5,pass\"\n",
                "not decoded",
            ),
        ),
        (
            "ARGS_POST_NAMES_RAW",
            Refused(
                "SecRule ARGS_POST_NAMES_RAW \"@rx x\" \"id:1,phase:5,pass\"\n",
                "not decoded",
            ),
        ),
        (
            "AUTH_TYPE",
            Works("SecRule AUTH_TYPE \"@streq Basic\" \"id:1,phase:5,pass\"\n"),
        ),
        (
            "DURATION",
            Works("SecRule DURATION \"@eq 250\" \"id:1,phase:5,pass\"\n"),
        ),
        (
            "ENV",
            Refused("SecRule ENV \"@rx x\" \"id:1,phase:5,pass\"\n", "TX variable"),
        ),
        (
            "FILES",
            With(
                UPLOAD,
                UPLOADED,
                "SecRule FILES \"@streq n.txt\" \"id:1,phase:5,pass\"\n",
            ),
        ),
        (
            "FILES_COMBINED_SIZE",
            With(
                UPLOAD,
                UPLOADED,
                "SecRule FILES_COMBINED_SIZE \"@eq 7\" \"id:1,phase:5,pass\"\n",
            ),
        ),
        (
            "FILES_NAMES",
            With(
                UPLOAD,
                UPLOADED,
                "SecRule FILES_NAMES \"@streq f\" \"id:1,phase:5,pass\"\n",
            ),
        ),
        (
            "FILES_SIZES",
            With(
                UPLOAD,
                UPLOADED,
                "SecRule FILES_SIZES \"@eq 7\" \"id:1,phase:5,pass\"\n",
            ),
        ),
        (
            "FILES_TMPNAMES",
            Refused(
                "SecRule FILES_TMPNAMES \"@rx x\" \"id:1,phase:5,pass\"\n",
                "FILES_TMP_CONTENT",
            ),
        ),
        (
            "FILES_TMP_CONTENT",
            With(
                UPLOAD,
                UPLOADED,
                "SecRule FILES_TMP_CONTENT:f \"@streq content\" \"id:1,phase:2,pass\"\n",
            ),
        ),
        (
            "FULL_REQUEST",
            Works(
                "SecRule FULL_REQUEST \"@rx (?s)^POST /dir/page.php.*Host: acme.test.*p=posted\" \"id:1,phase:5,pass\"\n",
            ),
        ),
        (
            "FULL_REQUEST_LENGTH",
            Works("SecRule FULL_REQUEST_LENGTH \"@eq 181\" \"id:1,phase:5,pass\"\n"),
        ),
        (
            "GEO",
            Refused("SecRule GEO \"@rx x\" \"id:1,phase:5,pass\"\n", "geo policy"),
        ),
        (
            "HIGHEST_SEVERITY",
            Works(
                "SecAction \"id:2,phase:1,nolog,pass,severity:ERROR\"\nSecRule HIGHEST_SEVERITY \"@eq 3\" \"id:1,phase:1,pass\"\n",
            ),
        ),
        (
            "INBOUND_DATA_ERROR",
            Cut("SecRule INBOUND_DATA_ERROR \"@eq 1\" \"id:1,phase:5,pass\"\n"),
        ),
        (
            "MATCHED_VAR",
            Works(
                "SecRule ARGS:q \"@streq value\" \"id:1,phase:2,pass,chain\"\n  SecRule MATCHED_VAR \"@streq value\" \"t:none\"\n",
            ),
        ),
        (
            "MATCHED_VARS",
            Works(
                "SecRule ARGS:q \"@streq value\" \"id:1,phase:2,pass,chain\"\n  SecRule MATCHED_VARS \"@streq value\" \"t:none\"\n",
            ),
        ),
        (
            "MATCHED_VAR_NAME",
            Works(
                "SecRule ARGS:q \"@streq value\" \"id:1,phase:2,pass,chain\"\n  SecRule MATCHED_VAR_NAME \"@streq ARGS:q\" \"t:none\"\n",
            ),
        ),
        (
            "MATCHED_VARS_NAMES",
            Works(
                "SecRule ARGS:q \"@streq value\" \"id:1,phase:2,pass,chain\"\n  SecRule MATCHED_VARS_NAMES \"@streq ARGS:q\" \"t:none\"\n",
            ),
        ),
        (
            "MODSEC_BUILD",
            Refused(
                "SecRule MODSEC_BUILD \"@rx x\" \"id:1,phase:5,pass\"\n",
                "no ModSecurity",
            ),
        ),
        (
            "MSC_PCRE_ERROR",
            Refused(
                "SecRule MSC_PCRE_ERROR \"@rx x\" \"id:1,phase:5,pass\"\n",
                "linear time",
            ),
        ),
        (
            "MSC_PCRE_LIMITS_EXCEEDED",
            Refused(
                "SecRule MSC_PCRE_LIMITS_EXCEEDED \"@rx x\" \"id:1,phase:5,pass\"\n",
                "linear time",
            ),
        ),
        (
            "MULTIPART_BOUNDARY_QUOTED",
            With(
                UPLOAD,
                "--b\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\nx\r\n--b",
                "SecRule MULTIPART_BOUNDARY_QUOTED \"@eq 1\" \"id:1,phase:2,pass\"\n",
            ),
        ),
        (
            "MULTIPART_BOUNDARY_WHITESPACE",
            With(
                UPLOAD,
                "--b\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\nx\r\n--b",
                "SecRule MULTIPART_BOUNDARY_WHITESPACE \"@eq 1\" \"id:1,phase:2,pass\"\n",
            ),
        ),
        (
            "MULTIPART_CRLF_LF_LINES",
            With(
                UPLOAD,
                "--b\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\nx\r\n--b",
                "SecRule MULTIPART_CRLF_LF_LINES \"@eq 1\" \"id:1,phase:2,pass\"\n",
            ),
        ),
        (
            "MULTIPART_DATA_AFTER",
            With(
                UPLOAD,
                "--b\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\nx\r\n--b",
                "SecRule MULTIPART_DATA_AFTER \"@eq 1\" \"id:1,phase:2,pass\"\n",
            ),
        ),
        (
            "MULTIPART_DATA_BEFORE",
            With(
                UPLOAD,
                "--b\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\nx\r\n--b",
                "SecRule MULTIPART_DATA_BEFORE \"@eq 1\" \"id:1,phase:2,pass\"\n",
            ),
        ),
        (
            "MULTIPART_DUPLICATE_PART_HEADER",
            With(
                UPLOAD,
                "--b\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\nx\r\n--b",
                "SecRule MULTIPART_DUPLICATE_PART_HEADER \"@eq 1\" \"id:1,phase:2,pass\"\n",
            ),
        ),
        (
            "MULTIPART_FILE_LIMIT_EXCEEDED",
            With(
                UPLOAD,
                "--b\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\nx\r\n--b",
                "SecRule MULTIPART_FILE_LIMIT_EXCEEDED \"@eq 1\" \"id:1,phase:2,pass\"\n",
            ),
        ),
        (
            "MULTIPART_HEADER_FOLDING",
            With(
                UPLOAD,
                "--b\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\nx\r\n--b",
                "SecRule MULTIPART_HEADER_FOLDING \"@eq 1\" \"id:1,phase:2,pass\"\n",
            ),
        ),
        (
            "MULTIPART_INVALID_HEADER_FOLDING",
            With(
                UPLOAD,
                "--b\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\nx\r\n--b",
                "SecRule MULTIPART_INVALID_HEADER_FOLDING \"@eq 1\" \"id:1,phase:2,pass\"\n",
            ),
        ),
        (
            "MULTIPART_INVALID_PART",
            With(
                UPLOAD,
                "--b\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\nx\r\n--b",
                "SecRule MULTIPART_INVALID_PART \"@eq 1\" \"id:1,phase:2,pass\"\n",
            ),
        ),
        (
            "MULTIPART_INVALID_QUOTING",
            With(
                UPLOAD,
                "--b\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\nx\r\n--b",
                "SecRule MULTIPART_INVALID_QUOTING \"@eq 1\" \"id:1,phase:2,pass\"\n",
            ),
        ),
        (
            "MULTIPART_LF_LINE",
            With(
                UPLOAD,
                "--b\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\nx\r\n--b",
                "SecRule MULTIPART_LF_LINE \"@eq 1\" \"id:1,phase:2,pass\"\n",
            ),
        ),
        (
            "MULTIPART_MISSING_SEMICOLON",
            With(
                UPLOAD,
                "--b\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\nx\r\n--b",
                "SecRule MULTIPART_MISSING_SEMICOLON \"@eq 1\" \"id:1,phase:2,pass\"\n",
            ),
        ),
        (
            "MULTIPART_SEMICOLON_MISSING",
            With(
                UPLOAD,
                "--b\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\nx\r\n--b",
                "SecRule MULTIPART_SEMICOLON_MISSING \"@eq 1\" \"id:1,phase:2,pass\"\n",
            ),
        ),
        (
            "MULTIPART_STRICT_ERROR",
            With(
                UPLOAD,
                "--b\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\nx\r\n--b",
                "SecRule MULTIPART_STRICT_ERROR \"@eq 1\" \"id:1,phase:2,pass\"\n",
            ),
        ),
        (
            "MULTIPART_UNMATCHED_BOUNDARY",
            With(
                UPLOAD,
                "--b\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\nx\r\n--b",
                "SecRule MULTIPART_UNMATCHED_BOUNDARY \"@eq 1\" \"id:1,phase:2,pass\"\n",
            ),
        ),
        (
            "MULTIPART_FILENAME",
            With(
                UPLOAD,
                UPLOADED,
                "SecRule MULTIPART_FILENAME \"@streq n.txt\" \"id:1,phase:2,pass\"\n",
            ),
        ),
        (
            "MULTIPART_NAME",
            With(
                UPLOAD,
                UPLOADED,
                "SecRule MULTIPART_NAME \"@streq f\" \"id:1,phase:2,pass\"\n",
            ),
        ),
        (
            "MULTIPART_FILE_NAME_CHARSET",
            Refused(
                "SecRule MULTIPART_FILE_NAME_CHARSET \"@rx x\" \"id:1,phase:5,pass\"\n",
                "FILES",
            ),
        ),
        (
            "MULTIPART_FILE_NAME_LANGUAGE",
            Refused(
                "SecRule MULTIPART_FILE_NAME_LANGUAGE \"@rx x\" \"id:1,phase:5,pass\"\n",
                "FILES",
            ),
        ),
        (
            "MULTIPART_PART_HEADERS",
            With(
                UPLOAD,
                UPLOADED,
                "SecRule MULTIPART_PART_HEADERS:f \"@contains form-data\" \"id:1,phase:2,pass\"\n",
            ),
        ),
        (
            "OUTBOUND_DATA_ERROR",
            Works("SecRule OUTBOUND_DATA_ERROR \"@eq 1\" \"id:1,phase:5,pass\"\n"),
        ),
        (
            "PATH_INFO",
            Works("SecRule PATH_INFO \"@streq /dir/page.php\" \"id:1,phase:5,pass\"\n"),
        ),
        (
            "PERF_ALL",
            Refused(
                "SecRule PERF_ALL \"@rx x\" \"id:1,phase:5,pass\"\n",
                "rules bench",
            ),
        ),
    ];
    check(&rows);
}
