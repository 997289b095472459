//! The trainer's `latest.yaml` (contract, section 6).

use std::{
    io,
    path::{Path, PathBuf},
};

use serde::Deserialize;

/// Its contents.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub(super) struct Latest {
    /// Path of the checkpoint, `.pt`.
    filename: PathBuf,
    /// The model's version.
    pub(super) version: i64,
}

impl Latest {
    /// The ONNX file beside the checkpoint.
    pub(super) fn onnx_path(&self) -> PathBuf {
        match self.filename.extension() {
            Some(extension) if extension == "pt" => self.filename.with_extension("onnx"),
            _ => self.filename.clone(),
        }
    }
}

/// Largest file that is read; the trainer writes some hundred bytes.
const MOST_BYTES: u64 = 64 * 1024;

/// Looks at the file again and again; what it says counts once two looks in a row saw the same.
#[derive(Debug, Default)]
pub(super) struct Watch {
    last: Option<String>,
}

impl Watch {
    /// What the file says; `None` while it is not there or still changing. Once settled, every look says so again.
    pub(super) fn look(&mut self, path: &Path) -> Result<Option<Latest>, String> {
        let failed = |reason: &str| format!("failed to read {}: {reason}", path.display());
        let text = match std::fs::metadata(path) {
            Ok(metadata) if metadata.len() > MOST_BYTES => return Err(failed("it is far too large")),
            Ok(_) => std::fs::read_to_string(path),
            Err(error) => Err(error),
        };
        let text = match text {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.last = None;
                return Ok(None);
            }
            Err(error) => return Err(failed(&error.to_string())),
        };
        let settled = self.last.as_deref() == Some(&text);
        let latest = settled.then(|| serde_saphyr::from_str(&text)).transpose();
        self.last = Some(text);
        latest.map_err(|error| failed(&error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look_twice(text: &str) -> Result<Option<Latest>, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("latest.yaml");
        std::fs::write(&path, text).unwrap();
        let mut watch = Watch::default();
        assert_eq!(watch.look(&path), Ok(None), "one look is not enough");
        watch.look(&path)
    }

    #[test]
    fn plain_quoted_and_folded_names_are_understood() {
        let texts = [
            "filename: /runs/a/model_3.pt\nversion: 3\n",
            "version: 3\nfilename: '/runs/a/model_3.pt'\n",
            "filename: \n  /runs/a/model_3.pt\nversion: 3\n",
            "filename: >-\n  /runs/a/model_3.pt\nversion: 3\nextra: [1, 2]\n",
        ];
        for text in texts {
            let latest = look_twice(text).unwrap().unwrap();
            assert_eq!((latest.version, latest.onnx_path()), (3, PathBuf::from("/runs/a/model_3.onnx")), "{text}");
        }
    }

    #[test]
    fn names_without_pt_are_used_as_they_are() {
        for name in ["/runs/model.onnx", "/runs/model", "models/x.pt.onnx"] {
            let latest = look_twice(&format!("filename: {name}\nversion: 0\n")).unwrap().unwrap();
            assert_eq!(latest.onnx_path(), PathBuf::from(name));
        }
    }

    #[test]
    fn half_written_and_broken_files_are_errors_that_name_the_file() {
        for text in ["filename: /runs/a/mod", "version: x\nfilename: a.pt", "\t- [", "", "filename: a.pt\nversion: 1.5"]
        {
            let error = look_twice(text).unwrap_err();
            assert!(error.contains("latest.yaml"), "{error}");
        }
    }

    #[test]
    fn an_enormous_file_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("latest.yaml");
        std::fs::write(&path, "#".repeat(70_000)).unwrap();
        assert!(Watch::default().look(&path).unwrap_err().contains("too large"));
    }

    #[test]
    fn a_changing_file_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("latest.yaml");
        let mut watch = Watch::default();
        assert_eq!(watch.look(&path), Ok(None));
        for version in 0..5 {
            std::fs::write(&path, format!("filename: a.pt\nversion: {version}\n")).unwrap();
            assert_eq!(watch.look(&path), Ok(None));
        }
        assert_eq!(watch.look(&path).unwrap().unwrap().version, 4);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(watch.look(&path), Ok(None));
    }
}
