//! What the driver of LV2 has to know of a plugin, from the Turtle files of its bundle: the URIs of the plugins that are in the file, and
//! their ports.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::path::Path;

use dlsoak_agent::drivers::lv2::{FULFILLED, SUPPORTED};
use oxttl::TurtleParser;

/// Most bytes of a Turtle file that are read: the largest in Debian 12 has 1.3 MB.
const MOST_BYTES: u64 = 16 << 20;

const LV2: &str = "http://lv2plug.in/ns/lv2core#";
const ATOM_PORT: &str = "<http://lv2plug.in/ns/ext/atom#AtomPort>";
const MINIMUM_SIZE: &str = "http://lv2plug.in/ns/ext/resize-port#minimumSize";
const TYPE: &str = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type";

/// All that a bundle says: what is said of a subject by a predicate. Subjects and objects are as Turtle writes them, `<URI>` or `_:name`, and
/// literals are their text.
#[derive(Default)]
struct Said(HashMap<(String, String), Vec<String>>);

impl Said {
    /// Reads all Turtle files of a bundle. What can't be read or parsed says nothing.
    fn of(bundle: &Path) -> Self {
        let mut said = Self::default();
        let files = bundle.read_dir().into_iter().flatten().flatten().map(|entry| entry.path());
        let mut files: Vec<_> = files.filter(|file| file.extension().is_some_and(|of| of == "ttl")).collect();
        files.sort();
        for file in files.iter().filter(|file| file.metadata().is_ok_and(|found| found.len() <= MOST_BYTES)) {
            let Ok(bytes) = std::fs::read(file) else { continue };
            said.read(&bytes, &uri(file));
        }
        said
    }

    fn read(&mut self, bytes: &[u8], base: &str) {
        let Ok(parser) = TurtleParser::new().with_base_iri(base) else { return };
        for triple in parser.for_slice(bytes).flatten() {
            let mut object = triple.object.to_string();
            if let (Some(text), Some(end)) = (object.strip_prefix('"'), object.rfind('"')) {
                object = text.get(..end.saturating_sub(1)).unwrap_or_default().to_owned();
            }
            let key = (triple.subject.to_string(), triple.predicate.as_str().to_owned());
            self.0.entry(key).or_default().push(object);
        }
    }

    fn all(&self, subject: &str, predicate: &str) -> &[String] {
        self.0.get(&(subject.to_owned(), predicate.to_owned())).map_or(&[], Vec::as_slice)
    }

    fn core(&self, subject: &str, name: &str) -> &[String] {
        self.all(subject, &format!("{LV2}{name}"))
    }

    fn number(&self, subject: &str, name: &str) -> Option<f32> {
        let number = self.core(subject, name).first()?.parse().ok()?;
        f32::is_finite(number).then_some(number)
    }

    /// The plugins that are in this file, in the order of their URIs.
    fn plugins(&self, file: &Path) -> Vec<&str> {
        let (binary, file) = (format!("{LV2}binary"), format!("<{}>", uri(file)));
        let of =
            self.0.iter().filter(|((_, predicate), objects)| *predicate == binary && objects.contains(&file));
        let mut plugins: Vec<&str> = of.map(|((subject, _), _)| subject.as_str()).collect();
        plugins.sort_unstable();
        plugins
    }

    /// A plugin's line; `None` where it requires a feature that the driver has not.
    fn line(&self, plugin: &str) -> Option<String> {
        let known = |feature: &String| {
            let uri = feature.trim_matches(['<', '>']).as_bytes();
            SUPPORTED.iter().chain(&FULFILLED).any(|known| known.to_bytes() == uri)
        };
        if !self.core(plugin, "requiredFeature").iter().all(known) {
            return None;
        }
        let (mut ports, mut size) = (BTreeMap::new(), 0);
        for port in self.core(plugin, "port") {
            let index: usize = self.core(port, "index").first()?.parse().ok()?;
            let letter = self.letter(port)?;
            let least = self.all(port, MINIMUM_SIZE).first().and_then(|size| size.parse::<u64>().ok());
            size = size.max(least.unwrap_or(0));
            ports.insert(index, (letter, (letter == 'c').then(|| self.preset(port))));
        }
        // The indices are 0, 1, 2 and so on.
        if ports.keys().copied().ne(0..ports.len()) {
            return None;
        }
        let letters: String = ports.values().map(|(letter, _)| letter).collect();
        let defaults: Vec<String> = ports
            .values()
            .filter_map(|(_, default)| Some(format!("{:x}", default.as_ref()?.to_bits())))
            .collect();
        let mut line = format!("{}\t{letters}\t{}", plugin.trim_matches(['<', '>']), defaults.join(" "));
        if size > 0 {
            // Writing to a String can't fail.
            let _ = write!(line, "\t{size}");
        }
        Some(line)
    }

    fn letter(&self, port: &str) -> Option<char> {
        let types = self.all(port, TYPE);
        let is = |name: &str| types.iter().any(|known| known == name);
        let core = |name: &str| is(&format!("<{LV2}{name}>"));
        let letter = if core("AudioPort") {
            'a'
        } else if core("ControlPort") {
            'c'
        } else if core("CVPort") {
            'v'
        } else if is(ATOM_PORT) {
            't'
        } else {
            let optional = format!("<{LV2}connectionOptional>");
            return self.core(port, "portProperty").contains(&optional).then_some('-');
        };
        Some(if core("OutputPort") { letter.to_ascii_uppercase() } else { letter })
    }

    fn preset(&self, port: &str) -> f32 {
        let bound = |name| self.number(port, name);
        bound("default").unwrap_or_else(|| {
            let least = bound("minimum").map_or(0.0, |least| least.max(0.0));
            bound("maximum").map_or(least, |most| least.min(most))
        })
    }
}

/// A file's URI.
fn uri(file: &Path) -> String {
    let mut uri = "file://".to_owned();
    for byte in file.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'-' | b'_' | b'.' | b'~' | b'+' => uri.push(char::from(*byte)),
            byte if byte.is_ascii_alphanumeric() => uri.push(char::from(*byte)),
            byte => {
                let _ = write!(uri, "%{byte:02X}");
            }
        }
    }
    uri
}

/// The bundle's directory and a line for each plugin in the file that the driver can host, as the driver documents them; `None` where there is
/// no such plugin.
pub(super) fn detail(file: &Path) -> Option<String> {
    let bundle = file.parent()?;
    let said = Said::of(bundle);
    let lines: Vec<String> = said.plugins(file).into_iter().filter_map(|plugin| said.line(plugin)).collect();
    (!lines.is_empty()).then(|| format!("{}/\n{}", bundle.display(), lines.join("\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_those_of_the_bundle() {
        let bundle = tempfile::tempdir().unwrap();
        let file = bundle.path().join("amp.so");
        let manifest = "@prefix lv2: <http://lv2plug.in/ns/lv2core#> .
            <urn:amp> a lv2:Plugin ; lv2:binary <amp.so> .
            <urn:other> a lv2:Plugin ; lv2:binary <other.so> .
            <urn:strange> a lv2:Plugin ; lv2:binary <amp.so> ; lv2:requiredFeature <urn:strange#feature> .";
        let amp =
            "@prefix lv2: <http://lv2plug.in/ns/lv2core#> . @prefix atom: <http://lv2plug.in/ns/ext/atom#> .
            <urn:amp> lv2:requiredFeature lv2:inPlaceBroken ;
              lv2:port [ a lv2:ControlPort , lv2:InputPort ; lv2:index 1 ; lv2:default 0.5 ] ,
                [ a lv2:AudioPort , lv2:InputPort ; lv2:index 0 ] ,
                [ a lv2:OutputPort , lv2:AudioPort ; lv2:index 2 ] ,
                [ a lv2:InputPort , lv2:ControlPort ; lv2:index 3 ; lv2:minimum 2 ; lv2:maximum 5.0 ] ,
                [ a lv2:InputPort , atom:AtomPort ; lv2:index 4 ;
                  <http://lv2plug.in/ns/ext/resize-port#minimumSize> 65536 ] .";
        std::fs::write(bundle.path().join("manifest.ttl"), manifest).unwrap();
        std::fs::write(bundle.path().join("amp.ttl"), amp).unwrap();
        let expected = format!("{}/\nurn:amp\tacAct\t3f000000 40000000\t65536", bundle.path().display());
        assert_eq!(detail(&file).as_deref(), Some(&*expected));
        assert_eq!(detail(&bundle.path().join("third.so")), None);
    }
}
