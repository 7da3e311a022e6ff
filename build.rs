//! Packs relative relocations (`DT_RELR`), which glibc knows from 2.36 (Debian 12) on: half a megabyte
//! less to read at every start, and to keep in memory. Debian 11 would refuse the binary by name.
//! Optimised builds only: mold before 2.0 writes such a binary without the version mark that glibc
//! asks for, and it does not start.

use std::env;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let target = |part: &str| env::var(format!("CARGO_CFG_TARGET_{part}"));
    let is_optimised = env::var("PROFILE").as_deref() == Ok("release");
    if is_optimised
        && target("OS").as_deref() == Ok("linux")
        && target("ENV").as_deref() == Ok("gnu")
    {
        println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
