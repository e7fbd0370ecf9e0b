//! What a file is that is no ELF file: people name linker scripts, archives and downloads by mistake.

use dlsoak_record::file::{Content, Packing};

/// Magic numbers of files that get mistaken for libraries.
const MAGIC: [(&[u8], Content); 19] = [
    (b"!<arch>\n", Content::Archive),
    (b"!<thin>\n", Content::Archive),
    (&[0xfe, 0xed, 0xfa, 0xce], Content::MachO),
    (&[0xfe, 0xed, 0xfa, 0xcf], Content::MachO),
    (&[0xce, 0xfa, 0xed, 0xfe], Content::MachO),
    (&[0xcf, 0xfa, 0xed, 0xfe], Content::MachO),
    (&[0xca, 0xfe, 0xba, 0xbe], Content::MachO),
    (b"MZ", Content::Pe),
    (&[0x1f, 0x8b], Content::Packed { format: Packing::Gzip }),
    (b"BZh", Content::Packed { format: Packing::Bzip2 }),
    (&[0xfd, b'7', b'z', b'X', b'Z', 0], Content::Packed { format: Packing::Xz }),
    (&[0x28, 0xb5, 0x2f, 0xfd], Content::Packed { format: Packing::Zstd }),
    (b"PK\x03\x04", Content::Packed { format: Packing::Zip }),
    (&[0x04, 0x22, 0x4d, 0x18], Content::Packed { format: Packing::Lz4 }),
    (b"BC\xc0\xde", Content::Bitcode),
    (&[0xde, 0xc0, 0x17, 0x0b], Content::Bitcode),
    (b"\0asm", Content::Wasm),
    (b"version https://git-lfs", Content::LfsPointer),
    (b"#!", Content::Script),
];

/// Tells what `data`, which does not begin as ELF does, is instead.
pub(super) fn of(data: &[u8]) -> Content {
    if let Some((_, content)) = MAGIC.iter().find(|(magic, _)| data.starts_with(magic)) {
        return content.clone();
    }
    // Enough to tell text from anything else, and to hold a linker script.
    let head = data.get(..4096).unwrap_or(data);
    let is_text = head.iter().all(|&b| b >= b' ' && b != 0x7f || b.is_ascii_whitespace());
    if !is_text {
        let mut first = [0; 4];
        first.iter_mut().zip(data).for_each(|(to, from)| *to = *from);
        return Content::Unknown { first };
    }
    let text = String::from_utf8_lossy(head);
    if ["GNU ld script", "GROUP", "INPUT", "OUTPUT_FORMAT"].iter().any(|word| text.contains(word)) {
        let library = text
            .split(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | ','))
            .find(|word| word.contains('/') && (word.ends_with(".so") || word.contains(".so.")));
        return Content::LinkerScript { library: library.map(str::to_owned) };
    }
    Content::Text
}

#[cfg(test)]
mod tests {
    use super::*;
    use dlsoak_record::file::{Damage, Unreadable};

    #[test]
    fn each_file_that_is_not_elf_is_recognised() {
        let is = |content: Content, data: &[u8]| {
            assert_eq!(super::super::parse(data), Err(Unreadable::NotElf { content }));
        };
        let script = |library: Option<&str>| Content::LinkerScript { library: library.map(str::to_owned) };
        is(
            script(Some("/lib/x86_64-linux-gnu/libc.so.6")),
            b"/* GNU ld script */\nOUTPUT_FORMAT(elf64-x86-64)\nGROUP ( /lib/x86_64-linux-gnu/libc.so.6 /usr/lib/libc_nonshared.a )",
        );
        is(script(None), b"INPUT(libncurses.so.6 -ltinfo)\n");
        is(Content::Archive, b"!<arch>\n/ 1234");
        is(Content::MachO, &[0xcf, 0xfa, 0xed, 0xfe, 7, 0, 0, 1]);
        is(Content::Pe, b"MZ\x90\0");
        is(Content::Packed { format: Packing::Gzip }, &[0x1f, 0x8b, 8, 0]);
        is(Content::Packed { format: Packing::Zip }, b"PK\x03\x04abc");
        is(Content::Bitcode, b"BC\xc0\xde");
        is(Content::Wasm, b"\0asm\x01\0\0\0");
        is(Content::LfsPointer, b"version https://git-lfs.github.com/spec/v1\n");
        is(Content::Script, b"#!/bin/sh\n");
        is(Content::Text, "größe\n".as_bytes());
        is(Content::Unknown { first: [1, 2, 3, 0] }, &[1, 2, 3]);
    }

    #[test]
    fn a_header_that_ends_early_or_lies_is_damage() {
        let parse = super::super::parse;
        assert_eq!(parse(b""), Err(Unreadable::Empty));
        assert_eq!(parse(b"\x7fE"), Err(Unreadable::CutShort { have: 2, need: 52 }));
        assert_eq!(parse(b"\x7fELF\x02\x01\x01\0\0\0"), Err(Unreadable::CutShort { have: 10, need: 64 }));
        let class = Unreadable::Damaged { part: Damage::Class };
        assert_eq!(parse(b"\x7fELF\x07\x01\x01\0\0\0"), Err(class));
    }
}
