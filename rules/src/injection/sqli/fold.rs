//! Folding: what an attacker can add without changing what a statement does is taken out, so that few prints stand for
//! many attacks. Works on at most six tokens at a time; the rules are in `pairs` and `triples`.

use super::lex::Lexer;
use super::token::{Kind, Token};

/// Tokens of a print.
pub(super) const TOKENS_MAX: usize = 5;
/// Places for tokens: five, a sixth that helps to read the fifth, and a comment behind.
const PLACES: usize = 8;

/// What a rule did.
pub(super) enum Step {
    /// Nothing: the next rules apply.
    On,
    /// The tokens changed: from the start.
    Again,
    /// The value cannot be read with certainty.
    Evil,
}

/// The tokens while they are folded.
pub(super) struct Folder<'a> {
    pub(super) lexer: Lexer<'a>,
    tokens: [Token<'a>; PLACES],
    /// Tokens held.
    pub(super) held: usize,
    /// Tokens before the window that the rules look at.
    pub(super) left: usize,
    /// Whether the lexer may have more.
    more: bool,
    /// The comment behind the last token.
    comment: Option<Token<'a>>,
}

impl<'a> Folder<'a> {
    pub(super) fn new(lexer: Lexer<'a>) -> Self {
        Self {
            lexer,
            tokens: [Token::NONE; PLACES],
            held: 0,
            left: 0,
            more: true,
            comment: None,
        }
    }

    /// The token at a place.
    pub(super) fn at(&self, place: usize) -> &Token<'a> {
        &self.tokens[place % PLACES]
    }

    pub(super) fn at_mut(&mut self, place: usize) -> &mut Token<'a> {
        &mut self.tokens[place % PLACES]
    }

    pub(super) fn kind(&self, place: usize) -> Kind {
        self.at(place).kind
    }

    /// Drops held tokens and looks at all of them again.
    pub(super) fn restart(&mut self, dropped: usize) {
        self.held = self.held.saturating_sub(dropped);
        self.left = 0;
    }

    /// Drops a token and moves the window back by one.
    pub(super) fn back(&mut self) {
        self.held = self.held.saturating_sub(1);
        self.left = self.left.saturating_sub(1);
    }

    /// Reads and folds all tokens that matter; how many make the print.
    pub(super) fn run(&mut self) -> usize {
        if !self.start() {
            return 0;
        }
        self.held = 1;
        loop {
            if self.held >= TOKENS_MAX {
                self.shorten();
            }
            if !self.more || self.left >= TOKENS_MAX {
                return self.finish(self.held);
            }
            if !self.fill(2) {
                continue;
            }
            match self.pair() {
                Step::On => {}
                Step::Again => continue,
                Step::Evil => {
                    self.at_mut(0).kind = Kind::Evil;
                    return 1;
                }
            }
            if self.fill(3) && !self.triple() {
                self.left += 1;
            }
        }
    }

    /// Passes over comments, opening parentheses, types and signs at the start; whether anything follows.
    fn start(&mut self) -> bool {
        while let Some(token) = self.lexer.next() {
            let skipped = matches!(token.kind, Kind::Comment | Kind::LeftParen | Kind::SqlType);
            if !skipped && !token.is_unary() {
                *self.at_mut(0) = token;
                return true;
            }
        }
        false
    }

    /// Reads until the window has so many tokens. If there are no more, moves the window to the end.
    fn fill(&mut self, window: usize) -> bool {
        while self.more && self.held <= TOKENS_MAX && self.held - self.left.min(self.held) < window {
            match self.lexer.next() {
                None => self.more = false,
                Some(token) if token.kind == Kind::Comment => self.comment = Some(token),
                Some(token) => {
                    *self.at_mut(self.held) = token;
                    self.comment = None;
                    self.held += 1;
                }
            }
        }
        let full = self.held >= self.left + window;
        if !full {
            self.left = self.held;
        }
        full
    }

    /// Five tokens that are an expression in parentheses become its first token, so that more can be seen.
    fn shorten(&mut self) {
        use Kind::{Bareword, Comma, LeftParen, Number, Operator, RightParen};
        let first: [Kind; TOKENS_MAX] = std::array::from_fn(|place| self.kind(place));
        let grouped = matches!(
            first,
            [Number, Operator | Comma, LeftParen, Number, RightParen]
                | [Bareword, Operator, LeftParen, Bareword | Number, RightParen]
                | [Number, RightParen, Comma, LeftParen, Number]
                | [Bareword, RightParen, Operator, LeftParen, Bareword]
        );
        if !grouped {
            return;
        }
        if self.held > TOKENS_MAX {
            *self.at_mut(1) = *self.at(TOKENS_MAX);
            self.held = 2;
        } else {
            self.held = 1;
        }
        self.left = 0;
    }

    /// Adds the comment at the end if there is room.
    fn finish(&mut self, count: usize) -> usize {
        match self.comment {
            Some(comment) if count < TOKENS_MAX => {
                *self.at_mut(count) = comment;
                count + 1
            }
            _ => count.min(TOKENS_MAX),
        }
    }
}
