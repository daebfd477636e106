//! Folding rules of three tokens. Their order counts: the first that applies wins.

use super::fold::Folder;
use super::token::Kind;

impl Folder<'_> {
    /// Applies the rules to the three tokens of the window; whether one did.
    pub(super) fn triple(&mut self) -> bool {
        use Kind::{
            Bareword, Comma, Dot, Expression, Function, Group, Keyword, LeftParen, Logic, Number, Operator,
        };
        use Kind::{RightParen, SqlType, String, Variable};
        let (first, second, third) = (self.left, self.left + 1, self.left + 2);
        let unary = self.at(second).is_unary();
        match (self.kind(first), self.kind(second), self.kind(third)) {
            // Operands that are calculated with, compared or listed are one operand.
            (Number, Operator, Number)
            | (Logic, _, Logic)
            | (Variable, Operator, Variable | Number | Bareword)
            | (Bareword | Number, Operator, Number | Bareword) => self.restart(2),
            (Operator, middle, Operator) if middle != LeftParen => self.restart(2),
            (Bareword | Number | Variable | String, Operator, SqlType) if self.at(second).text == b"::" => {
                self.restart(2);
            }
            (Bareword | Number | String | Variable, Comma, Number | Bareword | String | Variable) => {
                self.restart(2)
            }
            // A sign before a parenthesis or an operand.
            (Expression | Group | Comma, _, LeftParen) if unary => self.drop_second(),
            (Keyword | Expression | Group, _, Number | Bareword | Variable | String | Function) if unary => {
                self.drop_second();
            }
            (Comma, _, Number | Bareword | Variable | String) if unary => {
                *self.at_mut(second) = *self.at(third);
                self.restart(3);
            }
            (Comma, _, Function) if unary => self.drop_second(),
            // A name with its database.
            (Bareword, Dot, Bareword) => self.restart(2),
            (Expression, Dot, Bareword) => self.drop_second(),
            (Function, LeftParen, after) => {
                // `USER` has no arguments: with some it is a name.
                if after != RightParen && self.at(first).is_word("USER") {
                    self.at_mut(first).kind = Bareword;
                }
                return false;
            }
            _ => return false,
        }
        true
    }

    fn drop_second(&mut self) {
        *self.at_mut(self.left + 1) = *self.at(self.left + 2);
        self.restart(1);
    }
}
