//! Request bodies to variables. Every parser takes the body in chunks of any size and gives each argument as soon as it
//! is complete; where the chunks end makes no difference. All are iterative and bounded: by the argument limit of the
//! sink, by depth, parts and path lengths, and by [`BYTES_MAX`]. What a parser does not understand is an error that rules
//! can see, never a silent skip.

mod carry;
mod json;
mod multipart;
#[cfg(test)]
mod tests;
mod urlencoded;
mod xml;

pub(crate) use urlencoded::parse as urlencoded;

use crate::compile::XmlArgs;
use crate::variables::Var;

/// Why a body could not be read.
pub(crate) type Fault = &'static str;

/// What a parser found: `(variable, name, value)`; answers false when no more is taken.
pub(crate) type Sink<'a> = dyn FnMut(Var, &[u8], &[u8]) -> bool + 'a;

/// The answer when the sink takes no more.
pub(crate) const TOO_MANY: Fault = "too many arguments";
/// Bytes of a body; far beyond what body limits let in.
const BYTES_MAX: usize = 512 << 20;

/// A body that is being read.
#[derive(Debug)]
pub(crate) struct Reader {
    form: Form,
    length: usize,
    fault: Option<Fault>,
}

#[derive(Debug)]
enum Form {
    Json(json::Reader),
    Multipart(Box<multipart::Reader>),
    Urlencoded(urlencoded::Reader),
    Xml(Box<xml::Reader>),
    /// No parser knows it.
    Unknown,
}

/// What the parsers need to know beforehand.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    /// `SecRequestBodyJsonDepthLimit`.
    pub(crate) json_depth_max: usize,
    /// `SecArgumentSeparator`.
    pub(crate) separator: u8,
    /// Whether rules look at the contents of files.
    pub(crate) file_contents: bool,
    /// `SecParseXmlIntoArgs`.
    pub(crate) xml_args: XmlArgs,
}

/// What was found out about a whole body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Bytes.
    pub(crate) length: usize,
    /// Bytes of all files together.
    pub(crate) files_length: usize,
    /// Why it could not be read.
    pub(crate) fault: Option<Fault>,
    /// Whether it ends within something that a parser has not given.
    pub(crate) open: bool,
}

impl Reader {
    /// A reader for a processor by its SecLang name; `None` when the type has none.
    pub(crate) fn new(processor: Option<&str>, content_type: &[u8], settings: &Settings) -> Self {
        let mut fault = None;
        let form = match processor {
            None => Form::Unknown,
            Some("JSON") => Form::Json(json::Reader::new(settings.json_depth_max)),
            Some("XML") => Form::Xml(Box::new(xml::Reader::new(settings.xml_args))),
            Some("MULTIPART") => match multipart::boundary(content_type) {
                Some(boundary) => Form::Multipart(Box::new(multipart::Reader::new(
                    &boundary,
                    settings.file_contents,
                ))),
                None => {
                    fault = Some("Multipart: the boundary is missing or too long");
                    Form::Unknown
                }
            },
            Some(_) => Form::Urlencoded(urlencoded::Reader::new(settings.separator, Var::ArgsPost)),
        };
        Self {
            form,
            length: 0,
            fault,
        }
    }

    /// Bytes that were read.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// Whether rules see the body as it was sent, beside what was read of it.
    pub(crate) fn keeps_raw(&self) -> bool {
        matches!(self.form, Form::Urlencoded(_) | Form::Unknown)
    }

    /// Reads a part of the body. After a fault nothing more is read.
    pub(crate) fn push(&mut self, chunk: &[u8], sink: &mut Sink<'_>) {
        self.length = self.length.saturating_add(chunk.len());
        if self.fault.is_some() {
            return;
        }
        let read = if self.length > BYTES_MAX {
            Err("the body is too long")
        } else {
            match &mut self.form {
                Form::Json(reader) => reader.push(chunk, sink),
                Form::Multipart(reader) => reader.push(chunk, sink),
                Form::Urlencoded(reader) => reader.push(chunk, sink),
                Form::Xml(reader) => reader.push(chunk, sink),
                Form::Unknown => Ok(()),
            }
        };
        self.fault = read.err();
    }

    /// Ends the body. That a cut one has no proper end is no fault of it.
    pub(crate) fn finish(mut self, cut: bool, sink: &mut Sink<'_>) -> Outcome {
        let mut open = false;
        if self.length == 0 {
            // No body is no faulty body.
            self.fault = None;
        } else if self.fault.is_none() {
            let read = match &mut self.form {
                Form::Json(reader) => reader.finish(sink),
                Form::Multipart(reader) => reader.finish(),
                Form::Urlencoded(reader) => reader.finish(sink),
                Form::Xml(reader) => reader.finish(sink),
                Form::Unknown => Ok(()),
            };
            self.fault = read.err();
            open = self.fault.is_some();
            self.fault = self.fault.filter(|fault| !cut || *fault == TOO_MANY);
        }
        let files_length = match &self.form {
            Form::Multipart(reader) => reader.files_length(),
            _ => 0,
        };
        Outcome {
            length: self.length,
            files_length,
            fault: self.fault,
            open,
        }
    }
}
