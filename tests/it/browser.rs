//! The page in a browser: it loads without an error, asks for nothing, fits a phone and a desk in light and in dark, and
//! nothing in it overlaps or is cut. `DLSOAK_SCREENSHOTS=DIR` keeps pictures of it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use base64::Engine as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{dlsoak, installed, of_ci, sample};

/// A browser under control, by the DevTools protocol over two pipes.
struct Browser {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    session: Option<String>,
    sent: u64,
    /// What it told without being asked.
    events: Vec<Value>,
    _profile: TempDir,
}

impl Browser {
    /// Starts a browser with an empty page; `None` where there is no browser.
    fn start() -> Option<Browser> {
        if !of_ci("report.html in a browser") {
            return None;
        }
        let names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
        let found = |name: &&&str| {
            let version = Command::new(**name).arg("--version").output();
            version.is_ok_and(|output| output.status.success())
        };
        let name = names.iter().find(found);
        installed("a browser for report.html", name.is_some(), "apt install chromium");
        let name = name?;
        let profile = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        // The browser reads commands from descriptor 3 and answers on 4.
        command.args(["-c", "exec \"$@\" 3<&0 4>&1 >/dev/null", "sh", name]).args([
            "--headless=new",
            "--remote-debugging-pipe",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--no-first-run",
            "--hide-scrollbars",
        ]);
        if nix::unistd::geteuid().is_root() {
            command.arg("--no-sandbox");
        }
        command.arg(format!("--user-data-dir={}", profile.path().display()));
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (to, from) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let events = Vec::new();
        let mut browser = Browser { child, to, from, session: None, sent: 0, events, _profile: profile };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let session = browser.call("Target.attachToTarget", attach);
        browser.session = session["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        Some(browser)
    }

    fn read(&mut self) -> Value {
        let mut message = Vec::new();
        self.from.read_until(0, &mut message).unwrap();
        message.pop().expect("the browser has ended");
        serde_json::from_slice(&message).unwrap()
    }

    /// Gives a command and waits for its answer.
    fn call(&mut self, method: &str, params: Value) -> Value {
        self.sent += 1;
        let mut message = json!({"id": self.sent, "method": method, "params": params});
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        self.to.write_all(message.to_string().as_bytes()).unwrap();
        self.to.write_all(&[0]).unwrap();
        self.to.flush().unwrap();
        loop {
            let answer = self.read();
            if answer["id"] == self.sent {
                assert!(answer.get("error").is_none(), "{method}: {answer}");
                return answer["result"].clone();
            }
            self.events.push(answer);
        }
    }

    /// Sets the size of the window and the colour scheme.
    fn looks(&mut self, width: u32, scheme: &str) {
        let metrics = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", metrics);
        self.media("screen", scheme);
    }

    fn media(&mut self, media: &str, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.call("Emulation.setEmulatedMedia", json!({"media": media, "features": features}));
    }

    /// Opens a file and waits until it is loaded.
    fn open(&mut self, path: &Path) {
        self.events.clear();
        self.call("Page.navigate", json!({"url": format!("file://{}", path.display())}));
        while !self.events.iter().any(|event| event["method"] == "Page.loadEventFired") {
            let event = self.read();
            self.events.push(event);
        }
    }

    /// The value of an expression in the page.
    fn value(&mut self, expression: &str) -> Value {
        let params = json!({"expression": expression, "returnByValue": true});
        let result = self.call("Runtime.evaluate", params);
        assert!(result.get("exceptionDetails").is_none(), "{result}");
        result["result"]["value"].clone()
    }

    /// Everything that the page asked for but itself, and everything that went wrong.
    fn complaints(&self) -> Vec<String> {
        let complaint = |event: &Value| {
            let params = &event["params"];
            match event["method"].as_str()? {
                "Network.requestWillBeSent" => {
                    let url = params["request"]["url"].as_str()?;
                    (!url.ends_with("/report.html")).then(|| format!("asked for {url}"))
                }
                "Runtime.consoleAPICalled" | "Runtime.exceptionThrown" | "Log.entryAdded" => {
                    Some(params.to_string())
                }
                _ => None,
            }
        };
        self.events.iter().filter_map(complaint).collect()
    }

    /// A picture of the page, of so much of it from the top as a reader looks at.
    fn keep(&mut self, name: &str) {
        const HIGHEST: f64 = 2_000.0;
        let Some(dir) = std::env::var_os("DLSOAK_SCREENSHOTS") else { return };
        let size = self.value("[innerWidth, document.documentElement.scrollHeight]");
        let height = size[1].as_f64().unwrap().min(HIGHEST);
        let clip = json!({"x": 0, "y": 0, "width": size[0], "height": height, "scale": 1});
        let whole = json!({"format": "png", "captureBeyondViewport": true, "clip": clip});
        let picture = self.call("Page.captureScreenshot", whole);
        let bytes = base64::engine::general_purpose::STANDARD.decode(picture["data"].as_str().unwrap());
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(Path::new(&dir).join(format!("{name}.png")), bytes.unwrap()).unwrap();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What does not fit: elements wider than the page that have no box of their own to scroll in, and texts of charts that
/// are cut or lie on each other.
const MISFITS: &str = r#"(() => {
    const found = [];
    const page = document.documentElement;
    if (page.scrollWidth > innerWidth) found.push(`the page is ${page.scrollWidth} wide in ${innerWidth}`);
    for (const e of document.querySelectorAll("body *")) {
        if (e.closest(".scroll, pre, .sr, .skip, svg") || !e.checkVisibility()) continue;
        const box = e.getBoundingClientRect();
        if (box.width && (box.right > innerWidth + 1 || box.left < -1) && !e.matches(".summary thead *, .summary caption, .summary thead"))
            found.push(`${e.tagName}.${e.className} reaches ${box.left} to ${box.right}`);
        if (e.matches(".why, .why p, .help") && e.scrollHeight > e.clientHeight + 2 && getComputedStyle(e).overflowY != "visible")
            found.push(`${e.tagName}.${e.className} is cut below: ${e.textContent.slice(0, 60)}`);
        if (e.matches("td, th, dd, dt, li, p, h1, h2, figcaption, .badge") && !e.matches(".summary thead *") && e.scrollWidth > e.clientWidth + 1 && e.clientWidth)
            found.push(`${e.tagName}.${e.className} is cut: ${e.textContent.slice(0, 60)}`);
    }
    for (const svg of document.querySelectorAll("svg.chart")) {
        if (!svg.checkVisibility()) continue;
        const view = svg.viewBox.baseVal;
        const texts = [...svg.querySelectorAll("text")].map(t => [t.textContent, t.getBBox()]);
        if (!texts.length) found.push("a chart without text");
        texts.forEach(([text, a], i) => {
            if (a.x < 0 || a.y < -2 || a.x + a.width > view.width || a.y + a.height > view.height + 4)
                found.push(`${svg.querySelector("title").textContent}: "${text}" is cut`);
            for (const [other, b] of texts.slice(i + 1)) {
                const across = Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x);
                const down = Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y);
                // Boxes of text have room above and below the letters.
                if (across > 1 && down > 0.3 * Math.min(a.height, b.height))
                    found.push(`${svg.querySelector("title").textContent}: "${text}" lies on "${other}"`);
            }
        });
    }
    return found.slice(0, 20);
})()"#;

/// What a screen reader would miss.
const UNNAMED: &str = r#"(() => {
    const found = [];
    for (const svg of document.querySelectorAll("svg:not([aria-hidden=true])")) {
        const names = (svg.getAttribute("aria-labelledby") || "").split(" ").map(id => document.getElementById(id));
        if (svg.getAttribute("role") != "img" || names.length != 2 || names.some(n => !n || !n.textContent.trim()))
            found.push("a chart without a name");
    }
    for (const table of document.querySelectorAll("table"))
        if (!table.caption || !table.caption.textContent.trim() || !table.querySelector("th[scope=col]")) found.push("a table without a caption");
    for (const box of document.querySelectorAll(".scroll"))
        if (box.getAttribute("tabindex") != "0" || !box.getAttribute("aria-label")) found.push("a box that the keyboard can't scroll");
    const levels = [...document.querySelectorAll("h1,h2,h3")].map(h => +h.tagName[1]);
    if (levels.filter(l => l == 1).length != 1 || levels.some((l, i) => i && l > levels[i - 1] + 1)) found.push("headings that skip a level");
    if (!document.documentElement.lang || !document.title) found.push("a page without language or title");
    return found;
})()"#;

/// Holds a page to all of it.
fn look_at(browser: &mut Browser, page: &Path, name: &str) {
    for scheme in ["light", "dark"] {
        for width in [360, 1280] {
            browser.looks(width, scheme);
            browser.open(page);
            let view = format!("{name}-{width}-{scheme}");
            browser.keep(&view);
            assert_eq!(browser.complaints(), Vec::<String>::new(), "{view}");
            assert_eq!(browser.value(MISFITS), json!([]), "{view}");
            assert_eq!(browser.value(UNNAMED), json!([]), "{view}");
            let ground = browser.value("getComputedStyle(document.body).backgroundColor");
            assert_eq!(ground == "rgb(255, 255, 255)", scheme == "light", "{view}: {ground}");
            // With everything opened it fits, too. Of hundreds of libraries, a few show it.
            if browser.value("document.querySelectorAll('.whole').length").as_u64().unwrap() > 20 {
                continue;
            }
            browser.value("document.querySelectorAll('details').forEach(d => d.open = true)");
            assert_eq!(browser.value(MISFITS), json!([]), "{view}, opened");
        }
    }
    // On paper all is open, and paper is light.
    browser.open(page);
    browser.media("print", "dark");
    assert_eq!(
        browser.value("getComputedStyle(document.body).backgroundColor"),
        "rgb(255, 255, 255)",
        "{name}"
    );
    let hidden = "[...document.querySelectorAll('details table')].filter(t => !t.getBoundingClientRect().height).length";
    assert_eq!(browser.value(hidden), 0, "{name}: tables that are not printed");
}

/// Makes the page of a record.
fn page_of(record: &Path, out: &Path) -> std::path::PathBuf {
    let output = dlsoak().args(["report", "--to", "html", "-o"]).arg(out).arg(record).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    out.join("report.html")
}

#[test]
fn the_page_loads_alone_and_fits() {
    let Some(mut browser) = Browser::start() else { return };
    let out = tempfile::tempdir().unwrap();
    let page = page_of(&sample(), out.path());
    let size = std::fs::metadata(&page).unwrap().len();
    assert!(size < 2_000_000, "{size}");
    look_at(&mut browser, &page, "sample");
    // Each link leads to its library.
    let links = "[...document.querySelectorAll('.summary a')].every(a => document.querySelector(a.getAttribute('href')))";
    assert_eq!(browser.value(links), true);
}

/// A record of this many libraries: those of a record, over and over. `DLSOAK_MANY` names another one for many.
fn record_of(libraries: usize, path: &Path) {
    let many = std::env::var_os("DLSOAK_MANY").map(std::path::PathBuf::from).filter(|_| libraries > 7);
    let text = std::fs::read(many.unwrap_or_else(sample)).unwrap();
    let mut run: dlsoak::record::Run = serde_json::from_slice(&text).unwrap();
    let known = std::mem::take(&mut run.soaks);
    let numbered = |(index, soak): (usize, &dlsoak::record::Soak)| {
        let mut soak = soak.clone();
        let round = index / known.len();
        if round > 0 {
            soak.name = format!("{}-{}", soak.name, round + 1);
        }
        soak
    };
    run.soaks = known.iter().cycle().take(libraries).enumerate().map(numbered).collect();
    run.passed = run.soaks.iter().all(|soak| soak.judged.gate.passed == Some(true));
    std::fs::write(path, serde_json::to_vec(&run).unwrap()).unwrap();
}

/// Whether what is shown of the page is all of it that has this class, and nothing else.
const SHOWN: &str = r#"(kind => {
    const all = [...document.querySelectorAll(".of")];
    const shown = all.filter(e => e.checkVisibility());
    return shown.length > 0 && all.every(e => shown.includes(e) == (!kind || e.classList.contains(kind)));
})"#;

#[test]
fn pages_of_any_number_of_libraries_fit_and_are_filtered() {
    let Some(mut browser) = Browser::start() else { return };
    for libraries in [1, 7, 121, 500] {
        let out = tempfile::tempdir().unwrap();
        let record = out.path().join("record.json");
        record_of(libraries, &record);
        let page = page_of(&record, out.path());
        let size = std::fs::metadata(&page).unwrap().len();
        assert!(size < 3_000_000, "{libraries} libraries: {size} bytes");
        look_at(&mut browser, &page, &libraries.to_string());
        browser.looks(1280, "light");
        browser.open(&page);
        assert_eq!(browser.value(&format!("{SHOWN}('')")), true);
        let choices = "[...document.querySelectorAll('.filter input:enabled')].map(i => i.id.slice(5))";
        let choices = browser.value(choices);
        let choices: Vec<&str> = choices.as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
        assert!(libraries == 1 || choices.len() > 2, "{choices:?}");
        for kind in choices {
            browser.value(&format!("document.getElementById('show-{kind}').click()"));
            let class = if kind == "all" { "" } else { kind };
            assert_eq!(browser.value(&format!("{SHOWN}('{class}')")), true, "{libraries} libraries: {kind}");
            assert_eq!(browser.value(MISFITS), json!([]), "{libraries} libraries: {kind}");
        }
    }
}

#[test]
fn a_click_on_a_command_selects_all_of_it() {
    let Some(mut browser) = Browser::start() else { return };
    let out = tempfile::tempdir().unwrap();
    let page = page_of(&sample(), out.path());
    browser.looks(1280, "light");
    browser.open(&page);
    let command = "document.querySelector('.summary .help code')";
    browser.value(&format!("{command}.scrollIntoView({{block: 'center'}})"));
    let at = browser.value(&format!("(b => [b.x + 20, b.y + b.height / 2])({command}.getClientRects()[0])"));
    for kind in ["mousePressed", "mouseReleased"] {
        let click = json!({"type": kind, "x": at[0], "y": at[1], "button": "left", "clickCount": 1});
        browser.call("Input.dispatchMouseEvent", click);
    }
    let selected = browser.value("getSelection().toString()");
    assert!(
        selected
            .as_str()
            .unwrap()
            .starts_with("dlsoak trace ../target/fixtures/libc-leak-constructor.so -c "),
        "{selected}"
    );
    assert_eq!(selected, browser.value(&format!("{command}.textContent")));
    // Each help is there to its end.
    let ends = browser
        .value("[...document.querySelectorAll('.help')].every(h => h.getBoundingClientRect().height > 0)");
    assert_eq!(ends, true);
}

/// Many places and deep stacks, of functions with long names.
fn odd_trace() -> dlsoak::record::Trace {
    use dlsoak::record::{Explained, Metric, Trace, TraceFrame, TracePlace, TraceStack};
    let frame = |place: u32, depth: u32| TraceFrame {
        function: Some(format!("std::map<int, <script>alert({depth})</script>>::insert_{place}")),
        file: Some("x/".repeat(100)),
        line: Some(depth),
        module: "libx.so".to_owned(),
        ..TraceFrame::default()
    };
    let place = |number: u32| TracePlace {
        function: frame(number, 0).function,
        module: "libx.so".to_owned(),
        phase: dlsoak::record::Phase::OtherThread,
        bytes_per_cycle: f64::from(number) * 1e6,
        count_per_cycle: 0.001,
        stacks: vec![TraceStack {
            bytes_per_cycle: f64::from(number) * 1e6,
            count_per_cycle: 0.001,
            frames: (0..60).map(|depth| frame(number / (depth + 1), depth)).collect(),
        }],
        ..TracePlace::default()
    };
    Trace {
        cycles: 2_000,
        ns_per_cycle: 1e5,
        places: (1..40).map(place).collect(),
        explained: vec![Explained { metric: Metric::Anon, measured: 1e9, noted: 1.0 }],
        ended: Some(dlsoak::record::EndedEarly::NotStarted { problem: "w".repeat(300) }),
        ..Trace::default()
    }
}

#[test]
fn a_page_with_a_trace_shows_its_stacks() {
    let Some(mut browser) = Browser::start() else { return };
    let out = tempfile::tempdir().unwrap();
    let library = crate::support::fixture("c-trace-deep");
    let mut command = dlsoak();
    command.arg("trace").arg(library).args(["-c", "fibonacci(20)", "-n", "300", "-o"]).arg(out.path());
    assert_eq!(command.output().unwrap().status.code(), Some(1));
    look_at(&mut browser, &out.path().join("report.html"), "trace");
    let texts =
        browser.value("[...document.querySelectorAll('.flame text')].map(t => t.textContent).join(' ')");
    for function in ["fibonacci", "outer", "middle", "keep"] {
        assert!(texts.as_str().unwrap().contains(function), "{texts}");
    }
    // Dark on bright, whatever the page's ground is; and each bar inside of its picture.
    for scheme in ["light", "dark"] {
        browser.looks(360, scheme);
        let color = browser.value("getComputedStyle(document.querySelector('.flame text')).fill");
        assert_eq!(color, "rgb(17, 17, 17)", "{scheme}");
        let outside = "[...document.querySelectorAll('.flame rect')].filter(r => { \
            const [a, b] = [r.getBoundingClientRect(), r.closest('svg').getBoundingClientRect()]; \
            return a.top < b.top - 1 || a.bottom > b.bottom + 1 || a.right > b.right + 1; }).length";
        assert_eq!(browser.value(outside), 0, "{scheme}");
    }
}

#[test]
fn a_page_shows_what_is_left_of_old_cycles() {
    let Some(mut browser) = Browser::start() else { return };
    let out = tempfile::tempdir().unwrap();
    let library = crate::support::fixture("c-churn-leak");
    let mut command = dlsoak();
    command.arg("run").arg(library).args(["-c", "fibonacci(20)", "-n", "4000", "-o"]).arg(out.path());
    assert_eq!(command.output().unwrap().status.code(), Some(1));
    look_at(&mut browser, &out.path().join("report.html"), "survivors");
    let ages = "[...document.querySelectorAll('figure[id$=survivors] tbody tr')].map(tr => [...tr.cells].map(td => td.textContent))";
    let ages = browser.value(ages);
    let ages = ages.as_array().unwrap();
    assert_eq!(ages.len(), 8);
    assert_eq!((&ages[0][0], &ages[7][0]), (&json!("0 to 500"), &json!("3,500 to 4,000")));
    // What was allocated after half of the cycles was not there half-way.
    assert!(ages[3][1] != "-" && ages[4][1] == ages[7][1], "{ages:?}");
    let bars = "document.querySelectorAll('figure[id$=survivors] svg .f-heap').length";
    assert_eq!(browser.value(bars), 8);
    let note = browser.value("document.querySelector('figure[id$=survivors] .note').textContent");
    assert!(note.as_str().unwrap().contains("churn.c"), "{note}");
}

#[test]
fn a_page_of_a_watch_shows_each_library_and_the_host() {
    let Some(mut browser) = Browser::start() else { return };
    let host = crate::watch::Host::new(&["-DGARBAGE"], &[]);
    let (output, _) = host.watch(&[]);
    assert_eq!(output.status.code(), Some(1));
    look_at(&mut browser, &host.out.path().join("report.html"), "watch");
    let links = "[...document.querySelectorAll('.summary a')].every(a => document.querySelector(a.getAttribute('href')))";
    assert_eq!(browser.value(links), true);
    let charts = "[...document.querySelectorAll('figure')].map(f => f.id).join(' ')";
    assert_eq!(browser.value(charts), "host-memory host-counts library-1-memory");
}

#[test]
fn a_page_of_odd_soaks_fits_too() {
    let Some(mut browser) = Browser::start() else { return };
    let out = tempfile::tempdir().unwrap();
    let mut run: dlsoak::record::Run = serde_json::from_slice(&std::fs::read(sample()).unwrap()).unwrap();
    let odd = &mut run.soaks[0];
    odd.name = "lib</title><script>alert(1)</script>".repeat(4);
    odd.path = format!("/{}", "x".repeat(300));
    let objects = vec!["y".repeat(400), "a\u{202e}b\n<img src=x onerror=alert(1)>".to_owned()];
    let facts = dlsoak::record::Facts::DependenciesStay { objects };
    odd.judged.findings = vec![dlsoak::record::Finding::new(dlsoak::record::Severity::Fail, facts)];
    odd.worker.output_tail = "z".repeat(500);
    let frame = dlsoak::record::Frame { function: Some("f".repeat(99)), ..Default::default() };
    odd.outcome.stacks = Some(vec![dlsoak::record::Stack { frames: vec![frame; 30], ..Default::default() }]);
    odd.judged.gate.passed = Some(false);
    odd.trace = Some(odd_trace());
    let alive = dlsoak::record::Alive { blocks: u64::MAX / 64, bytes: u64::MAX / 64, squares: 1e300 };
    odd.cohorts = Some(dlsoak::record::Cohorts {
        cycles: 3_000_000_000,
        stretches: vec![dlsoak::record::Stretch { halfway: alive, end: alive }; 64],
        places: odd_trace().places,
        lost: u64::MAX,
        ended: odd_trace().ended,
    });
    let crashed = &mut run.soaks[1];
    crashed.judged.verdict = dlsoak::record::Verdict::Crashed;
    crashed.checkpoints = Default::default();
    crashed.judged.growth.clear();
    crashed.judged.leak = None;
    crashed.latency_ns = Default::default();
    (crashed.latency_over_time, crashed.resident_by_kind) = (None, None);
    run.soaks[2].judged.gate.passed = None;
    let more: Vec<_> = run.soaks.iter().cycle().take(8).cloned().collect();
    run.soaks.extend(more);
    let record = out.path().join("record.json");
    std::fs::write(&record, serde_json::to_vec(&run).unwrap()).unwrap();
    let page = page_of(&record, out.path());
    look_at(&mut browser, &page, "odd");
    assert_eq!(browser.value("document.scripts.length + document.images.length"), 0);
}
