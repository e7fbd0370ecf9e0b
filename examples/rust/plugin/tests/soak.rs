//! Soaks the plugin as this very `cargo test` builds it.

use dlsoak_soak::{Soak, SoakError};

#[test]
fn the_plugin_leaves_nothing_behind() -> Result<(), SoakError> {
    let soak = Soak::cdylib("plugin").until_decided(true);
    let soaked = soak.call("fx = fx_create(9) != null").call("fx_sum(fx) == 36").call("fx_destroy(fx)").run()?;
    soaked.assert_clean();
    Ok(())
}
