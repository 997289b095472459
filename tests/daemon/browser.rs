//! Looks at a page with headless Chromium, through `chromedriver`, by the WebDriver protocol (<https://www.w3.org/TR/webdriver2>).

use std::{
    env,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    ask::{connect, request},
    wait,
};

/// What a reference to an element is called in answers.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Keys of [`Browser::press`].
pub(crate) const HOME: &str = "\u{E011}";
pub(crate) const LEFT: &str = "\u{E012}";
pub(crate) const RIGHT: &str = "\u{E014}";
pub(crate) const END: &str = "\u{E010}";

/// Nothing of these speaks to anybody but us.
const FLAGS: [&str; 11] = [
    "--headless=new",
    "--no-sandbox", // Tests may run as root. No page but our own is opened.
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-prefers-reduced-motion",
    "--hide-scrollbars",
];

/// A browser with one page. Dropped, it is closed.
pub(crate) struct Browser {
    driver: Child,
    address: SocketAddr,
    session: String,
    _profile: TempDir,
}

fn on_path(names: &[&str]) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let mut places = env::split_paths(&path).flat_map(|dir| names.iter().map(move |name| dir.join(name)));
    places.find(|file| file.is_file())
}

impl Browser {
    /// With a window of `width` × `height`; `None`, with a word about it, where no browser is installed.
    pub(crate) fn start(width: u32, height: u32) -> Option<Self> {
        let (driver, chromium) =
            (on_path(&["chromedriver"]), on_path(&["chromium", "chromium-browser", "google-chrome"]));
        let (Some(driver), Some(chromium)) = (driver, chromium) else {
            eprintln!(
                "SKIPPED: no chromium and chromedriver on PATH (Debian: apt-get install chromium chromium-driver)"
            );
            return None;
        };
        let mut command = Command::new(driver);
        let command = command.arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut driver = command.spawn().unwrap();
        let mut said = BufReader::new(driver.stdout.take().unwrap()).lines().map_while(Result::ok);
        let port = said.find_map(|line| line.strip_suffix('.')?.rsplit_once("successfully on port ")?.1.parse().ok());
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.expect("chromedriver says where it listens")));
        let profile = TempDir::new().unwrap();
        let mut browser = Self { driver, address, session: String::new(), _profile: profile };

        let mut flags = FLAGS.map(str::to_owned).to_vec();
        flags.push(format!("--user-data-dir={}", browser._profile.path().display()));
        let options = json!({ "binary": chromium, "args": flags });
        let wanted = json!({ "goog:chromeOptions": options, "goog:loggingPrefs": { "browser": "ALL" } });
        let session = browser.call("POST", "/session", &json!({ "capabilities": { "alwaysMatch": wanted } }));
        browser.session = format!("/session/{}", session["sessionId"].as_str().unwrap());
        browser.resize(width, height);
        Some(browser)
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = if method == "POST" { body.to_string() } else { String::new() };
        let answer = self.exchange(method, path, &body).unwrap_or_else(|error| panic!("{path}: {error}"));
        let mut answer: Value = serde_json::from_str(&answer).unwrap();
        let value = answer["value"].take();
        assert!(value["error"].is_null(), "{path} {body}: {value}");
        value
    }

    /// The body of an answer. The driver leaves connections open, whatever it is asked.
    fn exchange(&self, method: &str, path: &str, body: &str) -> io::Result<String> {
        let request = request(method, &format!("{}{path}", self.session), "Content-Type: application/json\r\n", body);
        let mut stream = connect(self.address);
        stream.write_all(request.as_bytes())?;
        let mut answer = BufReader::new(stream);
        let (mut line, mut length) = (String::new(), 0);
        while answer.read_line(&mut line)? > 2 {
            let header = line.to_ascii_lowercase();
            if let Some(value) = header.strip_prefix("content-length:") {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
            line.clear();
        }
        let mut body = vec![0; length];
        answer.read_exact(&mut body)?;
        String::from_utf8(body).map_err(io::Error::other)
    }

    /// The size of what is seen, however small: windows have a least width.
    pub(crate) fn resize(&self, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        let command = json!({ "cmd": "Emulation.setDeviceMetricsOverride", "params": size });
        self.call("POST", "/goog/cdp/execute", &command);
    }

    pub(crate) fn open(&self, address: SocketAddr) {
        self.call("POST", "/url", &json!({ "url": format!("http://{address}/") }));
    }

    /// What the page's `expression` is now.
    pub(crate) fn value(&self, expression: &str) -> Value {
        self.run(&format!("return {expression}"))
    }

    /// What a script in the page returns.
    pub(crate) fn run(&self, script: &str) -> Value {
        self.call("POST", "/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// The text of the first element that `selector` names; empty if there is none.
    pub(crate) fn text(&self, selector: &str) -> String {
        let text = self.value(&format!("document.querySelector({selector:?})?.textContent ?? ''"));
        text.as_str().unwrap().to_owned()
    }

    /// Waits until the text of an element is as `is` wants it.
    pub(crate) fn reads(&self, selector: &str, is: impl Fn(&str) -> bool) -> String {
        wait::until(&format!("{selector} to read as it should"), || Some(self.text(selector)).filter(|text| is(text)))
    }

    fn element(&self, selector: &str) -> String {
        wait::until(selector, || {
            let found = self.call("POST", "/elements", &json!({ "using": "css selector", "value": selector }));
            found[0][ELEMENT].as_str().map(str::to_owned)
        })
    }

    /// Clicks as a user does: what is hidden or covered cannot be clicked.
    pub(crate) fn click(&self, selector: &str) {
        self.call("POST", &format!("/element/{}/click", self.element(selector)), &json!({}));
    }

    /// Types into an element, or presses keys there.
    pub(crate) fn press(&self, selector: &str, keys: &str) {
        self.call("POST", &format!("/element/{}/value", self.element(selector)), &json!({ "text": keys }));
    }

    /// Whether an element can be seen.
    pub(crate) fn shows(&self, selector: &str) -> bool {
        self.value(&format!("document.querySelector({selector:?})?.checkVisibility() ?? false")) == true
    }

    /// Light or dark.
    pub(crate) fn theme(&self, theme: &str) {
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": theme }] });
        self.call("POST", "/goog/cdp/execute", &json!({ "cmd": "Emulation.setEmulatedMedia", "params": media }));
    }

    /// What is seen, as a PNG file.
    pub(crate) fn picture(&self) -> Vec<u8> {
        let picture = self.call("GET", "/screenshot", &Value::Null);
        let digit = |byte: u8| match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            _ => 63,
        };
        let digits: Vec<_> = picture.as_str().unwrap().trim_end_matches('=').bytes().map(digit).collect();
        let bytes = digits.chunks(4).flat_map(|four| {
            let bits = (0..4).fold(0, |bits, place| bits << 6 | u32::from(*four.get(place).unwrap_or(&0)));
            bits.to_be_bytes().into_iter().skip(1).take(four.len() - 1)
        });
        bytes.collect()
    }

    /// Warnings and errors of the console since the last look.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let entries = self.call("POST", "/se/log", &json!({ "type": "browser" }));
        let entries =
            entries.as_array().unwrap().iter().filter(|entry| entry["level"] != "INFO" && entry["level"] != "DEBUG");
        entries.map(|entry| entry["message"].as_str().unwrap().to_owned()).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            // Chromium ends with its session, not with its driver.
            self.exchange("DELETE", "", "").ok();
        }
        self.driver.kill().ok();
        self.driver.wait().ok();
    }
}
