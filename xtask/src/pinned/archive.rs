//! Taking the wanted files, and nothing else, out of a wheel (zip) or an npm package (gzipped tar).

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use anyhow::{Context, bail};

use super::Build;

/// Writes the files of `build` from the wheel at `archive` into `into`.
pub(super) fn unzip(archive: &Path, build: &Build, into: &Path) -> anyhow::Result<()> {
    let file = File::open(archive).with_context(|| format!("cannot open {}", archive.display()))?;
    let mut zip = zip::ZipArchive::new(file).with_context(|| format!("{} is not a zip archive", archive.display()))?;
    for (name, member) in members(build) {
        let mut contents = zip.by_name(&member).with_context(|| format!("no {member} in {}", archive.display()))?;
        write(&mut contents, &into.join(name))?;
    }
    Ok(())
}

/// Writes the files of `build` from the npm package at `archive` into `into`.
pub(super) fn untar(archive: &Path, build: &Build, into: &Path) -> anyhow::Result<()> {
    let file = File::open(archive).with_context(|| format!("cannot open {}", archive.display()))?;
    let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(io::BufReader::new(file)));
    let mut wanted: Vec<_> = members(build).collect();
    for entry in tar.entries().with_context(|| format!("{} is not a tar archive", archive.display()))? {
        let mut entry = entry.with_context(|| format!("cannot read {}", archive.display()))?;
        let path = entry.path().with_context(|| format!("cannot read {}", archive.display()))?.into_owned();
        if let Some(at) = wanted.iter().position(|(_, member)| path == Path::new(member)) {
            let (name, _) = wanted.swap_remove(at);
            write(&mut entry, &into.join(name))?;
        }
        if wanted.is_empty() {
            return Ok(());
        }
    }
    bail!("no {} in {}", wanted[0].1, archive.display())
}

/// Each file's name here and its path in the archive.
fn members(build: &Build) -> impl Iterator<Item = (&'static str, String)> {
    let main = build.main_in_archive.unwrap_or(build.main().name);
    let inside = std::iter::once(main).chain(build.files.iter().skip(1).map(|file| file.name));
    build.files.iter().zip(inside).map(|(file, inside)| (file.name, format!("{}/{inside}", build.folder)))
}

fn write(contents: &mut impl Read, path: &Path) -> anyhow::Result<()> {
    let mut file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
    io::copy(contents, &mut file).with_context(|| format!("cannot unpack {}", path.display()))?;
    file.sync_all().with_context(|| format!("cannot write {} to disk", path.display()))
}

#[cfg(test)]
pub(super) mod tests {
    use std::fs::{self, File};
    use std::io::Write;
    use std::path::Path;

    use super::super::{self as pins, Build};
    use super::{untar, unzip};

    /// Two files, the library under another name inside the archive.
    const BUILD: Build = Build {
        version: "1.2.3",
        folder: "onnxruntime/capi",
        main_in_archive: Some("libonnxruntime.so.1"),
        files: &[
            pins::File { name: "libonnxruntime.so.1.2.3", sha256: "" },
            pins::File { name: "libonnxruntime_providers_shared.so", sha256: "" },
        ],
    };

    const MEMBERS: [(&str, &str); 4] = [
        ("onnxruntime/capi/libonnxruntime.so.1", "the library"),
        ("onnxruntime/capi/onnxruntime_pybind11_state.so", "not wanted"),
        ("elsewhere/capi/libonnxruntime.so.1", "a decoy"),
        ("onnxruntime/capi/libonnxruntime_providers_shared.so", "the shared provider"),
    ];

    /// A wheel with these members.
    pub(in super::super) fn write_zip(path: &Path, members: &[(&str, &str)]) {
        let mut zip = zip::ZipWriter::new(File::create(path).unwrap());
        for (name, contents) in members {
            zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
            zip.write_all(contents.as_bytes()).unwrap();
        }
        zip.finish().unwrap();
    }

    fn write_tgz(path: &Path, members: &[(&str, &str)]) {
        let mut tar =
            tar::Builder::new(flate2::write::GzEncoder::new(File::create(path).unwrap(), flate2::Compression::fast()));
        for (name, contents) in members {
            let mut header = tar::Header::new_gnu();
            header.set_size(contents.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, name, contents.as_bytes()).unwrap();
        }
        tar.into_inner().unwrap().finish().unwrap();
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn only_the_wanted_files_come_out_of_a_wheel() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let (wheel, out) = (dir.path().join("a.whl"), dir.path().join("out"));
        fs::create_dir(&out).unwrap();
        write_zip(&wheel, &MEMBERS);
        unzip(&wheel, &BUILD, &out).unwrap();
        assert_eq!(names(&out), ["libonnxruntime.so.1.2.3", "libonnxruntime_providers_shared.so"]);
        assert_eq!(fs::read_to_string(out.join("libonnxruntime.so.1.2.3")).unwrap(), "the library");
    }

    #[test]
    fn only_the_wanted_files_come_out_of_an_npm_package() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let (package, out) = (dir.path().join("a.tgz"), dir.path().join("out"));
        fs::create_dir(&out).unwrap();
        write_tgz(&package, &MEMBERS);
        untar(&package, &BUILD, &out).unwrap();
        assert_eq!(names(&out), ["libonnxruntime.so.1.2.3", "libonnxruntime_providers_shared.so"]);
        assert_eq!(fs::read_to_string(out.join("libonnxruntime.so.1.2.3")).unwrap(), "the library");
    }

    #[test]
    fn a_missing_member_is_named() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let (wheel, package) = (dir.path().join("a.whl"), dir.path().join("a.tgz"));
        write_zip(&wheel, &MEMBERS[..3]);
        write_tgz(&package, &MEMBERS[..3]);
        for result in [unzip(&wheel, &BUILD, dir.path()), untar(&package, &BUILD, dir.path())] {
            let error = result.expect_err("a member is missing").to_string();
            assert!(error.contains("no onnxruntime/capi/libonnxruntime_providers_shared.so in"), "{error}");
        }
    }

    #[test]
    fn something_else_than_an_archive_is_an_error() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let page = dir.path().join("page.html");
        fs::write(&page, "<html>not found</html>").unwrap();
        assert!(unzip(&page, &BUILD, dir.path()).is_err());
        assert!(untar(&page, &BUILD, dir.path()).is_err());
    }
}
