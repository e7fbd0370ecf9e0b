//! What the driver of gconv modules has to know: the conversions that the system's configuration has of a module.

use std::path::Path;

/// The pairs of names in the lines `module FROM TO FILE COST` of `gconv-modules` and `gconv-modules.d/*.conf` beside the module (glibc's
/// `iconv/gconv_conf.c`), in capitals; `None` where nothing names the module.
pub(super) fn detail(file: &Path) -> Option<String> {
    let (directory, module) = (file.parent()?, file.file_stem()?.to_str()?);
    let more = directory
        .join("gconv-modules.d")
        .read_dir()
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    let mut files: Vec<_> = more.filter(|file| file.extension().is_some_and(|of| of == "conf")).collect();
    files.sort();
    files.insert(0, directory.join("gconv-modules"));
    let mut words: Vec<String> = Vec::new();
    for text in files.iter().filter_map(|file| std::fs::read(file).ok()) {
        for line in String::from_utf8_lossy(&text).lines() {
            let mut fields = line.split('#').next().unwrap_or_default().split_whitespace();
            let is_module = fields.next() == Some("module");
            if let (true, Some(from), Some(to), Some(name)) =
                (is_module, fields.next(), fields.next(), fields.next())
                && name.strip_suffix(".so").unwrap_or(name) == module
            {
                words.extend([from.to_uppercase(), to.to_uppercase()]);
            }
        }
    }
    (!words.is_empty()).then(|| words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversions_are_those_of_the_configuration() {
        let directory = tempfile::tempdir().unwrap();
        let place = |name: &str| directory.path().join(name);
        std::fs::create_dir(place("gconv-modules.d")).unwrap();
        std::fs::write(
            place("gconv-modules"),
            "# module X// Y// KOI8-R\nmodule\tkoi8-r//\tINTERNAL\tKOI8-R\t1\n",
        )
        .unwrap();
        let more = "alias a// b//\nmodule INTERNAL KOI8-R// KOI8-R.so 1\nmodule OTHER// INTERNAL OTHER 1\n";
        std::fs::write(place("gconv-modules.d/extra.conf"), more).unwrap();
        assert_eq!(detail(&place("KOI8-R.so")).as_deref(), Some("KOI8-R// INTERNAL INTERNAL KOI8-R//"));
        assert_eq!(detail(&place("NONE.so")), None);
    }
}
