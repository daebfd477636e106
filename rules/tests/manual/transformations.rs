//! The transformations.

use super::{FORM, With, check};

#[test]
fn every_transformation_is_accepted_and_works_or_is_refused_with_what_to_do_instead() {
    let rows = [
        (
            "base64Decode",
            With(
                FORM,
                "n=YWJj",
                "SecRule ARGS_POST:n \"@streq abc\" \"id:1,phase:2,pass,t:base64Decode\"\n",
            ),
        ),
        (
            "base64DecodeExt",
            With(
                FORM,
                "n=YW.Jj",
                "SecRule ARGS_POST:n \"@streq abc\" \"id:1,phase:2,pass,t:base64DecodeExt\"\n",
            ),
        ),
        (
            "base64Encode",
            With(
                FORM,
                "n=abc",
                "SecRule ARGS_POST:n \"@streq YWJj\" \"id:1,phase:2,pass,t:base64Encode\"\n",
            ),
        ),
        (
            "cmdLine",
            With(
                FORM,
                "n=A,%22b",
                "SecRule ARGS_POST:n \"@streq a b\" \"id:1,phase:2,pass,t:cmdLine\"\n",
            ),
        ),
        (
            "compressWhitespace",
            With(
                FORM,
                "n=a++b",
                "SecRule ARGS_POST:n \"@streq a b\" \"id:1,phase:2,pass,t:compressWhitespace\"\n",
            ),
        ),
        (
            "cssDecode",
            With(
                FORM,
                "n=%5C000061z",
                "SecRule ARGS_POST:n \"@streq az\" \"id:1,phase:2,pass,t:cssDecode\"\n",
            ),
        ),
        (
            "escapeSeqDecode",
            With(
                FORM,
                "n=%5Cx41",
                "SecRule ARGS_POST:n \"@streq A\" \"id:1,phase:2,pass,t:escapeSeqDecode\"\n",
            ),
        ),
        (
            "hexDecode",
            With(
                FORM,
                "n=616263",
                "SecRule ARGS_POST:n \"@streq abc\" \"id:1,phase:2,pass,t:hexDecode\"\n",
            ),
        ),
        (
            "hexEncode",
            With(
                FORM,
                "n=abc",
                "SecRule ARGS_POST:n \"@streq 616263\" \"id:1,phase:2,pass,t:hexEncode\"\n",
            ),
        ),
        (
            "htmlEntityDecode",
            With(
                FORM,
                "n=%26lt%3B",
                "SecRule ARGS_POST:n \"@streq <\" \"id:1,phase:2,pass,t:htmlEntityDecode\"\n",
            ),
        ),
        (
            "jsDecode",
            With(
                FORM,
                "n=%5Cx41",
                "SecRule ARGS_POST:n \"@streq A\" \"id:1,phase:2,pass,t:jsDecode\"\n",
            ),
        ),
        (
            "length",
            With(
                FORM,
                "n=abcd",
                "SecRule ARGS_POST:n \"@streq 4\" \"id:1,phase:2,pass,t:length\"\n",
            ),
        ),
        (
            "lowercase",
            With(
                FORM,
                "n=AbC",
                "SecRule ARGS_POST:n \"@streq abc\" \"id:1,phase:2,pass,t:lowercase\"\n",
            ),
        ),
        (
            "md5",
            With(
                FORM,
                "n=abc",
                "SecRule ARGS_POST:n \"@streq 900150983cd24fb0d6963f7d28e17f72\" \"id:1,phase:2,pass,t:md5,t:hexEncode\"\n",
            ),
        ),
        (
            "none",
            With(
                FORM,
                "n=abc",
                "SecRule ARGS_POST:n \"@streq abc\" \"id:1,phase:2,pass,t:none\"\n",
            ),
        ),
        (
            "normalisePath",
            With(
                FORM,
                "n=/a/../b",
                "SecRule ARGS_POST:n \"@streq /b\" \"id:1,phase:2,pass,t:normalisePath\"\n",
            ),
        ),
        (
            "normalizePath",
            With(
                FORM,
                "n=/a/../b",
                "SecRule ARGS_POST:n \"@streq /b\" \"id:1,phase:2,pass,t:normalizePath\"\n",
            ),
        ),
        (
            "normalisePathWin",
            With(
                FORM,
                "n=%5Ca%5C..%5Cb",
                "SecRule ARGS_POST:n \"@streq /b\" \"id:1,phase:2,pass,t:normalisePathWin\"\n",
            ),
        ),
        (
            "normalizePathWin",
            With(
                FORM,
                "n=%5Ca%5C..%5Cb",
                "SecRule ARGS_POST:n \"@streq /b\" \"id:1,phase:2,pass,t:normalizePathWin\"\n",
            ),
        ),
        (
            "parityEven7bit",
            With(
                FORM,
                "n=ac",
                "SecRule ARGS_POST:n \"@streq e163\" \"id:1,phase:2,pass,t:parityEven7bit,t:hexEncode\"\n",
            ),
        ),
        (
            "parityOdd7bit",
            With(
                FORM,
                "n=ac",
                "SecRule ARGS_POST:n \"@streq 61e3\" \"id:1,phase:2,pass,t:parityOdd7bit,t:hexEncode\"\n",
            ),
        ),
        (
            "parityZero7bit",
            With(
                FORM,
                "n=%E1",
                "SecRule ARGS_POST:n \"@streq a\" \"id:1,phase:2,pass,t:parityZero7bit\"\n",
            ),
        ),
        (
            "removeComments",
            With(
                FORM,
                "n=a/*x*/b",
                "SecRule ARGS_POST:n \"@streq ab\" \"id:1,phase:2,pass,t:removeComments\"\n",
            ),
        ),
        (
            "removeCommentsChar",
            With(
                FORM,
                "n=a/*x*/b",
                "SecRule ARGS_POST:n \"@streq axb\" \"id:1,phase:2,pass,t:removeCommentsChar\"\n",
            ),
        ),
        (
            "removeNulls",
            With(
                FORM,
                "n=a%00b",
                "SecRule ARGS_POST:n \"@streq ab\" \"id:1,phase:2,pass,t:removeNulls\"\n",
            ),
        ),
        (
            "removeWhitespace",
            With(
                FORM,
                "n=a+b",
                "SecRule ARGS_POST:n \"@streq ab\" \"id:1,phase:2,pass,t:removeWhitespace\"\n",
            ),
        ),
        (
            "replaceComments",
            With(
                FORM,
                "n=a/*x*/b",
                "SecRule ARGS_POST:n \"@streq a b\" \"id:1,phase:2,pass,t:replaceComments\"\n",
            ),
        ),
        (
            "replaceNulls",
            With(
                FORM,
                "n=a%00b",
                "SecRule ARGS_POST:n \"@streq a b\" \"id:1,phase:2,pass,t:replaceNulls\"\n",
            ),
        ),
        (
            "sha1",
            With(
                FORM,
                "n=abc",
                "SecRule ARGS_POST:n \"@streq a9993e364706816aba3e25717850c26c9cd0d89d\" \"id:1,phase:2,pass,t:sha1,t:hexEncode\"\n",
            ),
        ),
        (
            "sqlHexDecode",
            With(
                FORM,
                "n=0x616263",
                "SecRule ARGS_POST:n \"@streq abc\" \"id:1,phase:2,pass,t:sqlHexDecode\"\n",
            ),
        ),
        (
            "trim",
            With(
                FORM,
                "n=+a+",
                "SecRule ARGS_POST:n \"@streq a\" \"id:1,phase:2,pass,t:trim\"\n",
            ),
        ),
        (
            "trimLeft",
            With(
                FORM,
                "n=+a",
                "SecRule ARGS_POST:n \"@streq a\" \"id:1,phase:2,pass,t:trimLeft\"\n",
            ),
        ),
        (
            "trimRight",
            With(
                FORM,
                "n=a+",
                "SecRule ARGS_POST:n \"@streq a\" \"id:1,phase:2,pass,t:trimRight\"\n",
            ),
        ),
        (
            "uppercase",
            With(
                FORM,
                "n=aBc",
                "SecRule ARGS_POST:n \"@streq ABC\" \"id:1,phase:2,pass,t:uppercase\"\n",
            ),
        ),
        (
            "urlDecode",
            With(
                FORM,
                "n=%2541",
                "SecRule ARGS_POST:n \"@streq A\" \"id:1,phase:2,pass,t:urlDecode\"\n",
            ),
        ),
        (
            "urlDecodeUni",
            With(
                FORM,
                "n=%25u0041",
                "SecRule ARGS_POST:n \"@streq A\" \"id:1,phase:2,pass,t:urlDecodeUni\"\n",
            ),
        ),
        (
            "urlEncode",
            With(
                FORM,
                "n=a+b",
                "SecRule ARGS_POST:n \"@streq a+b\" \"id:1,phase:2,pass,t:urlEncode\"\n",
            ),
        ),
        (
            "utf8toUnicode",
            With(
                FORM,
                "n=%C3%A9",
                "SecRule ARGS_POST:n \"@streq %u00e9\" \"id:1,phase:2,pass,t:utf8toUnicode\"\n",
            ),
        ),
    ];
    check(&rows);
}
