//! Folding rules of two tokens. Their order counts: the first that applies wins.

use super::fold::{Folder, Step};
use super::token::{Kind, TEXT_MAX, Token};
use super::words;

/// Words that are functions before a parenthesis and may be names otherwise.
const FUNCTIONS_BEFORE_PAREN: [&str; 11] = [
    "CURRENT_DATE",
    "CURRENT_TIME",
    "CURRENT_TIMESTAMP",
    "CURRENT_USER",
    "DATABASE",
    "LOCALTIME",
    "LOCALTIMESTAMP",
    "PASSWORD",
    "USER",
    "USER_ID",
    "USER_NAME",
];

impl Folder<'_> {
    /// Applies the rules to the two tokens of the window.
    pub(super) fn pair(&mut self) -> Step {
        use Kind::{LeftParen, Logic, Operator, Semicolon, SqlType, String};
        let (place, next) = (self.left, self.left + 1);
        let unary = self.at(next).is_unary();
        match (self.kind(place), self.kind(next)) {
            // Strings side by side are one; so are semicolons.
            (String, String) | (Semicolon, Semicolon) => {
                self.held -= 1;
                Step::Again
            }
            (Operator | Logic, kind) if unary || kind == SqlType => {
                self.restart(1);
                Step::Again
            }
            (LeftParen, _) if unary => {
                self.back();
                Step::Again
            }
            _ if self.compound() => {
                self.back();
                Step::Again
            }
            _ => self.pair_of_words(),
        }
    }

    /// Two words that the list has as one.
    fn compound(&mut self) -> bool {
        let (first, second) = (*self.at(self.left), *self.at(self.left + 1));
        let second_joins = joins(second.kind) || second.kind == Kind::Logic;
        let len = first.text.len() + 1 + second.text.len();
        if !joins(first.kind) || !second_joins || len > TEXT_MAX || !words::may_begin(first.text, len) {
            return false;
        }
        let mut text = [b' '; TEXT_MAX];
        for (to, from) in text.iter_mut().zip(first.text) {
            *to = *from;
        }
        for (to, from) in text.iter_mut().skip(first.text.len() + 1).zip(second.text) {
            *to = *from;
        }
        let Some((word, kind)) = text.get(..len).and_then(words::word) else {
            return false;
        };
        let token = self.at_mut(self.left);
        (token.kind, token.text) = (kind, word.as_bytes());
        true
    }

    /// Words whose kind depends on what follows.
    fn pair_of_words(&mut self) -> Step {
        use Kind::{Bareword, Function, Keyword, LeftParen, Operator, Semicolon, Tsql, Variable};
        let (place, next) = (self.left, self.left + 1);
        let (token, following) = (*self.at(place), *self.at(next));
        let paren = following.kind == LeftParen;
        match (token.kind, following.kind) {
            // `IF` begins a statement of Transact-SQL.
            (Semicolon, Function) if matches!(following.text, [b'i' | b'I', b'f' | b'F', ..]) => {
                self.at_mut(next).kind = Tsql;
                Step::Again
            }
            (Bareword | Variable, LeftParen)
                if FUNCTIONS_BEFORE_PAREN.iter().any(|word| token.is_word(word)) =>
            {
                self.at_mut(place).kind = Function;
                Step::Again
            }
            (Keyword, _) if token.is_word("IN") || token.is_word("NOT IN") => {
                self.at_mut(place).kind = if paren { Operator } else { Bareword };
                Step::Again
            }
            (Operator, _) if token.is_word("LIKE") || token.is_word("NOT LIKE") => {
                if paren {
                    self.at_mut(place).kind = Function;
                }
                Step::On
            }
            _ => self.pair_of_signs(token, following),
        }
    }

    /// Types, collations and signs that mean nothing where they stand.
    fn pair_of_signs(&mut self, token: Token<'_>, following: Token<'_>) -> Step {
        use Kind::{
            Backslash, Bareword, Collate, Function, LeftBrace, LeftParen, Number, RightBrace, RightParen,
            SqlType, String, Variable,
        };
        let (place, next) = (self.left, self.left + 1);
        match (token.kind, following.kind) {
            (SqlType, Bareword | Number | SqlType | LeftParen | Function | Variable | String) => {
                *self.at_mut(place) = *self.at(next);
                self.restart(1);
                Step::Again
            }
            (Collate, Bareword) => {
                // There are too many collations for a list; they have a `_`.
                let name = following.text.split(|b| *b == 0).next().unwrap_or_default();
                if name.contains(&b'_') {
                    self.at_mut(next).kind = SqlType;
                    self.left = 0;
                }
                Step::On
            }
            // Transact-SQL reads `\%1` as `0 % 1` and `\1` as `1`.
            (Backslash, _) if following.is_arithmetic() => {
                self.at_mut(place).kind = Number;
                self.left = 0;
                Step::Again
            }
            (Backslash, _) => {
                *self.at_mut(place) = *self.at(next);
                self.restart(1);
                Step::Again
            }
            (LeftParen, LeftParen) | (RightParen, RightParen) => {
                self.restart(1);
                Step::Again
            }
            // MySQL takes an empty name in braces for the current database: rare enough to refuse.
            (LeftBrace, Bareword) if following.text.is_empty() => Step::Evil,
            // `{name expression}` is the expression.
            (LeftBrace, Bareword) => {
                self.restart(2);
                Step::Again
            }
            (_, RightBrace) => {
                self.restart(1);
                Step::Again
            }
            _ => Step::On,
        }
    }
}

fn joins(kind: Kind) -> bool {
    use Kind::{Bareword, Expression, Function, Keyword, Operator, SqlType, Tsql, Union};
    matches!(
        kind,
        Keyword | Bareword | Operator | Union | Function | Expression | Tsql | SqlType
    )
}
