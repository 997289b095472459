//! The file by which a trainer names its newest model, and a worker's service the model that its daemon plays with: `latest.yaml`.

use std::{io, path::PathBuf};

use serde::Deserialize;

use super::Hash;

/// What it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latest {
    /// The model's file.
    pub filename: PathBuf,
    /// Its version, at least 0.
    pub version: i64,
    /// Its contents, where they are said.
    pub sha256: Option<Hash>,
}

impl Latest {
    /// Reads such a file. Other keys may stand beside ours. A checkpoint, `.pt`, has its model beside it.
    ///
    /// # Errors
    /// When these are not the contents of such a file, or only a part of them.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Keys {
            filename: PathBuf,
            version: i64,
            sha256: Option<String>,
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
        let sha256 = sha256.map(|sum| Hash::try_from(sum.to_ascii_lowercase())).transpose();
        let sha256 = sha256.map_err(|reason| format!("sha256: {reason}"))?;
        let filename = match filename.extension() {
            Some(extension) if extension == "pt" => filename.with_extension("onnx"),
            _ => filename,
        };
        Ok(Self { filename, version, sha256 })
    }

    /// As such a file.
    ///
    /// # Errors
    /// When the path is no text, and so cannot stand in it.
    pub fn to_yaml(&self) -> io::Result<String> {
        let path = self.filename.to_str().ok_or_else(|| io::Error::other("it is not UTF-8 text"))?;
        // A text of JSON is one of YAML.
        let mut text = format!("filename: {}\nversion: {}\n", serde_json::Value::from(path), self.version);
        if let Some(sha256) = self.sha256 {
            text += &format!("sha256: \"{sha256}\"\n");
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_was_written_whatever_the_path() {
        for path in ["/runs/a/model_3.onnx", "models/x y.onnx", "/a: \"b\" \\ # é\u{10ffff}/[m].onnx", "/line\nend"] {
            for sha256 in [None, Some(Hash::of(b"model"))] {
                let latest = Latest { filename: path.into(), version: 7, sha256 };
                assert_eq!(Latest::read(latest.to_yaml().unwrap().as_bytes()).unwrap(), latest);
            }
        }
    }

    #[test]
    fn a_trainers_file_is_read() {
        let sum = Hash::of(b"model").to_string().to_uppercase();
        let text = format!("# mine\nversion: '3'\nfilename: >-\n  /runs/a/model_3.pt\nsha256: {sum}\nextra: [1]\n");
        let latest = Latest::read(text.as_bytes()).unwrap();
        let expected = Latest { filename: "/runs/a/model_3.onnx".into(), version: 3, sha256: Some(Hash::of(b"model")) };
        assert_eq!(latest, expected);
    }

    #[test]
    fn what_is_none_is_refused_in_words() {
        for (text, words) in [
            ("", ""),
            ("filename: a.pt", "version"),
            ("version: 1", "filename"),
            ("filename: a.pt\nversion: -1", "below 0"),
            ("filename: ''\nversion: 1", "empty"),
            ("filename: a.pt\nversion: 1\nsha256: abc", "64 hexadecimal digits"),
            ("filename: [", ""),
        ] {
            let refusal = Latest::read(text.as_bytes()).unwrap_err();
            assert!(refusal.contains(words) && !refusal.contains('\n') && !refusal.is_empty(), "{text}: {refusal}");
        }
        assert!(Latest::read(b"filename: \xff\nversion: 1\n").is_err());
    }
}
