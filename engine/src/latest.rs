//! `latest.yaml`, the file by which a trainer names its newest model (contract, section 6).

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Largest file that is one; a trainer writes some hundred bytes.
pub const MOST_BYTES: u64 = 64 * 1024;

/// What it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latest {
    /// The model's ONNX file. Where a checkpoint is named, `.pt`, it lies beside that.
    pub path: PathBuf,
    /// The model's version, at least 0.
    pub version: i64,
    /// Checksum of the ONNX file where it is said: 64 hexadecimal digits, in small letters.
    pub sha256: Option<String>,
}

/// As it stands there. Other keys may stand beside these.
#[derive(Deserialize, Serialize)]
struct Keys {
    filename: PathBuf,
    version: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
}

impl Latest {
    /// Reads the contents of such a file.
    ///
    /// # Errors
    /// When they are not, or only a part of them, in a line.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() as u64 > MOST_BYTES {
            return Err("it is far too large".to_owned());
        }
        let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8 text".to_owned())?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let Keys { filename, version, sha256 } = serde_saphyr::from_str(text).map_err(|error| {
            // The reason comes first; an excerpt of the file may follow.
            let reason = error.to_string();
            let reason = reason.lines().next().unwrap_or_default();
            reason.strip_prefix("error: ").unwrap_or(reason).to_owned()
        })?;
        if version < 0 {
            return Err(format!("version {version} is below 0"));
        }
        if filename.as_os_str().is_empty() {
            return Err("filename is empty".to_owned());
        }
        if let Some(sum) = sha256.as_ref().filter(|sum| sum.len() != 64 || !sum.bytes().all(|b| b.is_ascii_hexdigit()))
        {
            return Err(format!("sha256 {sum:?} is not 64 hexadecimal digits"));
        }
        let path = match filename.extension() {
            Some(extension) if extension == "pt" => filename.with_extension("onnx"),
            _ => filename,
        };
        Ok(Self { path, version, sha256: sha256.map(|sum| sum.to_ascii_lowercase()) })
    }

    /// As such a file.
    ///
    /// # Errors
    /// When the path is no text, and so cannot stand in it.
    pub fn to_yaml(&self) -> Result<String, String> {
        let Self { path, version, sha256 } = self.clone();
        let keys = Keys { filename: path, version, sha256 };
        let options = serde_saphyr::ser_options! { quote_all: true };
        serde_saphyr::to_string_with_options(&keys, options).map_err(|error| error.to_string())
    }
}

/// Reads any bytes as such a file: for fuzz targets and the test that repeats their property.
///
/// # Panics
/// When what is understood makes no sense, or the reason why nothing is understood is too long for a log.
#[doc(hidden)]
pub fn read_any(bytes: &[u8]) {
    match Latest::read(bytes) {
        Ok(latest) => assert!(latest.version >= 0 && !latest.path.as_os_str().is_empty(), "{latest:?}"),
        Err(reason) => assert!(!reason.is_empty() && reason.len() < 4096, "{reason}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn understood(text: &str) -> (PathBuf, i64) {
        let latest = Latest::read(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text:?}"));
        (latest.path, latest.version)
    }

    #[test]
    fn plain_quoted_and_folded_names_are_understood() {
        let texts = [
            "filename: /runs/a/model_3.pt\nversion: 3\n",
            "version: 3\nfilename: '/runs/a/model_3.pt'\n",
            "filename: \n  /runs/a/model_3.pt\nversion: 3\n",
            "filename: >-\n  /runs/a/model_3.pt\nversion: 3\nextra: [1, 2]\n",
            "filename: \"/runs/a/model_3.pt\"\nversion: '3'\n",
            "\u{feff}filename: /runs/a/model_3.pt\nversion: 3\n",
            "filename: /runs/a/model_3.pt\r\nversion: 3\r\n",
            "--- # as some write it\n{filename: /runs/a/model_3.pt, version: 3}\n...\n",
            "# a comment\nfilename: &name /runs/a/model_3.pt\nversion: 3\nold: *name\n",
        ];
        for text in texts {
            assert_eq!(understood(text), (PathBuf::from("/runs/a/model_3.onnx"), 3), "{text}");
        }
    }

    #[test]
    fn names_without_pt_are_used_as_they_are() {
        for name in ["/runs/model.onnx", "/runs/model", "models/x.pt.onnx"] {
            assert_eq!(understood(&format!("filename: {name}\nversion: 0\n")), (PathBuf::from(name), 0));
        }
    }

    #[test]
    fn a_checksum_is_taken_along() {
        let sum = "0123456789abcdefABCDEF0123456789abcdef0123456789abcdef0123456789";
        let text = format!("filename: a.pt\nversion: 1\nsha256: {sum}\n");
        assert_eq!(Latest::read(text.as_bytes()).unwrap().sha256, Some(sum.to_ascii_lowercase()));
        for wrong in ["abc", "zz23456789abcdefABCDEF0123456789abcdef0123456789abcdef0123456789"] {
            let error = Latest::read(text.replace(sum, wrong).as_bytes()).unwrap_err();
            assert!(error.contains("64 hexadecimal digits"), "{error}");
        }
    }

    #[test]
    fn every_part_of_a_file_cut_off_is_an_error_or_says_the_same() {
        let text = "filename: /runs/a/model_12.pt\nversion: 1234\n";
        let cut = |end: usize| Latest::read(&text.as_bytes()[..end]);
        let whole = cut(text.len()).unwrap();
        // The last digits of a number cannot be missed by looking at one file; two looks that agree can.
        let first_digit = text.find("1234").unwrap() + 1;
        assert!((0..first_digit).all(|end| cut(end).is_err()));
        assert_eq!(cut(text.len() - 1).unwrap(), whole);
    }

    #[test]
    fn what_cannot_be_meant_is_an_error() {
        let laughs: String = (1..20).fold("a0: &a0 [x, x]\n".to_owned(), |text, level| {
            let before = level - 1;
            let refs = vec![format!("*a{before}"); 10].join(", ");
            format!("{text}a{level}: &a{level} [{refs}]\n")
        });
        let deep = "[".repeat(20_000);
        for (text, reason) in [
            ("", ""),
            ("\t- [", ""),
            ("filename:\ta.pt\n\tversion: 1\n", ""),
            ("filename: [a.pt]\nversion: 1", ""),
            ("filename: a.pt", "version"),
            ("version: 1", "filename"),
            ("filename: a.pt\nversion: x", ""),
            ("filename: a.pt\nversion: 1.5", ""),
            ("filename: a.pt\nversion: -1", "below 0"),
            ("filename: a.pt\nversion: 99999999999999999999", ""),
            ("filename: a.pt\nversion: null", ""),
            ("filename: ''\nversion: 1", "empty"),
            ("filename: a.pt\nversion: 1\nversion: 2", "duplicate"),
            (&format!("{laughs}filename: a.pt\nversion: 1\n"), ""),
            (&format!("filename: a.pt\nversion: 1\nx: {deep}"), ""),
        ] {
            let error = Latest::read(text.as_bytes()).expect_err(&text[..text.len().min(80)]);
            assert!(error.contains(reason), "{error}");
            assert!(!error.contains('\n') && !error.is_empty() && error.len() < 500, "{error}");
        }
    }

    #[test]
    fn what_is_no_text_is_an_error() {
        assert_eq!(Latest::read(b"filename: \xff\xfe.pt\nversion: 1\n").unwrap_err(), "it is not UTF-8 text");
        assert_eq!(Latest::read(&b"#".repeat(70_000)).unwrap_err(), "it is far too large");
        assert!(Latest::read(b"filename: a\0b.pt\nversion: 1\n").is_err());
    }

    #[test]
    fn what_was_written_is_read_whatever_the_path() {
        for path in ["/runs/a/model_3.onnx", "models/x y.onnx", "/a: \"b\" \\ # é\u{10ffff}/[m].onnx", "/line\nend"] {
            for sha256 in [None, Some("0123456789abcdef".repeat(4)), Some("1".repeat(64))] {
                let latest = Latest { path: path.into(), version: 7, sha256 };
                assert_eq!(Latest::read(latest.to_yaml().unwrap().as_bytes()).unwrap(), latest);
            }
        }
    }
}
