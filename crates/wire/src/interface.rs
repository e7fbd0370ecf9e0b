//! The plugin interfaces that a driver is written for: how a file is recognised, which library plays the host, and the steps of a cycle, by
//! whose numbers a driver says what failed.

/// A plugin interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u64)]
pub enum Interface {
    /// Audio effects: `ladspa.h` 1.1.
    Ladspa = 1,
    /// Video effects: `frei0r.h` 1.2.
    Frei0r = 2,
    /// Audio effects and instruments: LV2 1.18.
    Lv2 = 3,
    /// Audio effects and instruments: `clap.h` 1.2.
    Clap = 4,
    /// Character sets of iconv: `gconv.h` of glibc.
    Gconv = 5,
    /// Extensions of SQLite: `sqlite3ext.h`.
    Sqlite = 6,
    /// Lookups of users, hosts and the like: `nss.h` of glibc.
    Nss = 7,
    /// Providers of OpenSSL 3.
    Openssl = 8,
    /// Lua modules, in a state that is made and ended in each cycle: the manuals of Lua 5.1 to 5.4.
    Lua = 9,
    /// Lua modules, in one state that is kept.
    LuaKept = 10,
    /// Extension modules of Python, in one interpreter that is kept: `Python.h` 3.11.
    Python = 11,
    /// Extension modules of Python, in an interpreter that is made and ended in each cycle.
    PythonFresh = 12,
    /// Vulkan drivers: the loader's interface of drivers, version 5.
    Vulkan = 13,
    /// OpenCL drivers: the extension `cl_khr_icd`.
    Opencl = 14,
    /// Plugins of GStreamer 1.0.
    Gstreamer = 15,
}

/// What is known of an interface.
#[derive(Debug)]
pub struct Facts {
    /// As `--as` takes it.
    pub name: &'static str,
    /// As people write it.
    pub title: &'static str,
    /// What a plugin exports, or one of these where `|` separates several; one `*` stands for any letters.
    pub symbol: &'static str,
    /// The function of the drivers' library that makes a cycle.
    pub function: &'static str,
    /// Libraries of the host that the plugin and the driver find functions in: any one of a group, the first that is there.
    pub host: &'static [&'static str],
    /// The steps of a cycle, numbered from 1.
    pub steps: &'static [&'static str],
    /// What a step's item is, where it has one.
    pub item: &'static str,
    /// Whether hosts of the interface never unload a plugin, because the interface forbids it.
    pub keeps: bool,
}

from_number! {
    Interface::from_number(u64): Ladspa, Frei0r, Lv2, Clap, Gconv, Sqlite, Nss, Openssl, Lua, LuaKept, Python, PythonFresh, Vulkan, Opencl, Gstreamer;
}

impl Interface {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Ladspa,
        Self::Frei0r,
        Self::Lv2,
        Self::Clap,
        Self::Gconv,
        Self::Sqlite,
        Self::Nss,
        Self::Openssl,
        Self::Lua,
        Self::LuaKept,
        Self::Python,
        Self::PythonFresh,
        Self::Vulkan,
        Self::Opencl,
        Self::Gstreamer,
    ];

    /// What is known of it.
    #[must_use]
    pub const fn facts(self) -> &'static Facts {
        match self {
            Self::Ladspa => &Facts {
                name: "ladspa",
                title: "LADSPA",
                symbol: "ladspa_descriptor",
                function: "dlsoak_ladspa",
                host: &["libm.so.6"],
                steps: &[
                    "describe",
                    "instantiate",
                    "connect_port",
                    "activate",
                    "run",
                    "deactivate",
                    "cleanup",
                ],
                item: "descriptor",
                keeps: false,
            },
            Self::Gconv => &Facts {
                name: "gconv",
                title: "gconv",
                symbol: "gconv_init",
                function: "dlsoak_gconv",
                host: &[],
                steps: &["init", "convert", "flush", "end"],
                item: "conversion",
                keeps: false,
            },
            Self::Sqlite => &Facts {
                name: "sqlite",
                title: "SQLite extension",
                symbol: "sqlite3_*_init",
                function: "dlsoak_sqlite",
                host: &["libsqlite3.so.0"],
                steps: &["init", "function", "close"],
                item: "function",
                keeps: false,
            },
            Self::Nss => &Facts {
                name: "nss",
                title: "NSS module",
                symbol: "_nss_*",
                function: "dlsoak_nss",
                host: &[],
                steps: &[
                    "passwd",
                    "group",
                    "shadow",
                    "hosts",
                    "services",
                    "protocols",
                    "networks",
                    "rpc",
                    "ethers",
                ],
                item: "lookup",
                keeps: false,
            },
            Self::Openssl => &Facts {
                name: "openssl",
                title: "OpenSSL provider",
                symbol: "OSSL_provider_init",
                function: "dlsoak_openssl",
                host: &["libcrypto.so.3"],
                steps: &[
                    "load",
                    "query",
                    "fetch",
                    "digest",
                    "cipher",
                    "mac",
                    "kdf",
                    "rand",
                    "key",
                    "sign",
                    "exchange",
                    "encrypt",
                    "encapsulate",
                    "encode",
                    "decode",
                    "unload",
                    "free",
                ],
                item: "algorithm",
                keeps: false,
            },
            Self::Frei0r => &Facts {
                name: "frei0r",
                title: "frei0r",
                symbol: "f0r_get_plugin_info",
                function: "dlsoak_frei0r",
                host: &[],
                steps: &[
                    "init",
                    "get_plugin_info",
                    "get_param_info",
                    "construct",
                    "get_param_value",
                    "set_param_value",
                    "update",
                    "destruct",
                    "deinit",
                ],
                item: "parameter",
                keeps: false,
            },
            Self::Lv2 => &Facts {
                name: "lv2",
                title: "LV2",
                symbol: "lv2_descriptor|lv2_lib_descriptor",
                function: "dlsoak_lv2",
                host: &["libm.so.6"],
                steps: &[
                    "describe",
                    "instantiate",
                    "extension_data",
                    "connect_port",
                    "activate",
                    "run",
                    "work",
                    "work_response",
                    "end_run",
                    "deactivate",
                    "cleanup",
                    "lib_descriptor",
                    "lib_cleanup",
                ],
                item: "descriptor",
                keeps: false,
            },
            Self::Clap => &Facts {
                name: "clap",
                title: "CLAP",
                symbol: "clap_entry",
                function: "dlsoak_clap",
                host: &["libm.so.6"],
                steps: &[
                    "init",
                    "get_factory",
                    "describe",
                    "create",
                    "plugin_init",
                    "get_extension",
                    "ports",
                    "activate",
                    "start_processing",
                    "process",
                    "stop_processing",
                    "on_main_thread",
                    "deactivate",
                    "destroy",
                    "deinit",
                ],
                item: "descriptor",
                keeps: false,
            },
            Self::Lua => &Facts {
                name: "lua",
                title: "Lua module",
                symbol: "luaopen_*",
                function: "dlsoak_lua",
                host: LUA,
                steps: &["newstate", "open", "close"],
                item: "function",
                keeps: false,
            },
            Self::LuaKept => &Facts {
                name: "lua-kept",
                title: "Lua module, kept state",
                symbol: "luaopen_*",
                function: "dlsoak_lua_kept",
                host: LUA,
                steps: &["newstate", "open", "collect"],
                item: "function",
                keeps: false,
            },
            Self::Python => &Facts {
                name: "python",
                title: "Python module",
                symbol: "PyInit_*",
                function: "dlsoak_python",
                host: PYTHON,
                steps: &["interpreter", "init", "create", "exec", "collect"],
                item: "instance",
                keeps: true,
            },
            Self::PythonFresh => &Facts {
                name: "python-fresh",
                title: "Python module, fresh interpreter",
                symbol: "PyInit_*",
                function: "dlsoak_python_fresh",
                host: PYTHON,
                steps: &["interpreter", "init", "create", "exec", "collect", "finalize"],
                item: "instance",
                keeps: true,
            },
            Self::Vulkan => &Facts {
                name: "vulkan",
                title: "Vulkan driver",
                symbol: "vk_icdGetInstanceProcAddr",
                function: "dlsoak_vulkan",
                host: &[],
                steps: &["negotiate", "create_instance", "enumerate", "properties", "destroy_instance"],
                item: "instance",
                keeps: false,
            },
            Self::Opencl => &Facts {
                name: "opencl",
                title: "OpenCL driver",
                symbol: "clIcdGetPlatformIDsKHR|clGetExtensionFunctionAddress",
                function: "dlsoak_opencl",
                host: &[],
                steps: &[
                    "platform_ids",
                    "platform_info",
                    "device_ids",
                    "device_info",
                    "create_context",
                    "release_context",
                ],
                item: "platform",
                keeps: false,
            },
            Self::Gstreamer => &Facts {
                name: "gstreamer",
                title: "GStreamer plugin",
                symbol: "gst_plugin_*_get_desc",
                function: "dlsoak_gstreamer",
                host: &["libgstreamer-1.0.so.0"],
                steps: &["load", "create", "unref"],
                item: "element",
                keeps: true,
            },
        }
    }

    /// Whether a plugin of this interface exports a symbol of this name.
    #[must_use]
    pub fn exports(self, symbol: &str) -> bool {
        self.facts().symbol.split('|').any(|name| match name.split_once('*') {
            None => symbol == name,
            Some((before, after)) => symbol
                .strip_prefix(before)
                .and_then(|rest| rest.strip_suffix(after))
                .is_some_and(|between| !between.is_empty()),
        })
    }
}

/// Libraries that have Lua's functions.
const LUA: &[&str] =
    &["liblua5.4.so.0", "liblua5.3.so.0", "liblua5.2.so.0", "liblua5.1.so.0", "libluajit-5.1.so.2"];

/// Libraries that have Python's functions.
const PYTHON: &[&str] = &["libpython3.11.so.1.0"];

/// Bits of what a driver returns that are the item's number.
const ITEM_BITS: u32 = 16;

/// What a driver returns when a step fails: the step's number, counted from 1, and that of the item, counted from 0. The last item that can be
/// said stands for all that follow.
#[must_use]
pub const fn failed(step: u16, item: usize) -> i32 {
    let item = if item > 0xffff { 0xffff } else { item as i32 };
    (step as i32) << ITEM_BITS | item
}

/// The name of the step that failed, and the number of the item; `None` where that is no number of a step.
#[must_use]
pub fn failure(interface: Interface, returned: i32) -> Option<(&'static str, usize)> {
    let step = usize::try_from(returned >> ITEM_BITS).ok()?.checked_sub(1)?;
    Some((*interface.facts().steps.get(step)?, (returned & 0xffff) as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_known_by_its_number() {
        assert_eq!(failure(Interface::Ladspa, failed(2, 7)), Some(("instantiate", 7)));
        assert_eq!(failure(Interface::Ladspa, failed(7, 1 << 20)), Some(("cleanup", 0xffff)));
        for none in [0, -1, 5, failed(8, 0)] {
            assert_eq!(failure(Interface::Ladspa, none), None);
        }
    }

    #[test]
    fn an_interface_is_recognised_by_what_a_file_exports() {
        assert!(Interface::Ladspa.exports("ladspa_descriptor"));
        assert!(!Interface::Ladspa.exports("ladspa_descriptor2"));
        for symbol in ["lv2_descriptor", "lv2_lib_descriptor"] {
            assert!(Interface::Lv2.exports(symbol));
        }
        for interface in Interface::ALL {
            assert_eq!(Interface::from_number(*interface as u64), Some(*interface));
            assert!(interface.facts().steps.len() < 0x7fff);
        }
    }
}
