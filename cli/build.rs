//! Links the programs statically, where the machine's C library can be.
//!
//! A plugin or a hook is started for each container, and without this half of its time goes by before its first line, while
//! libraries are looked for, mapped and bound. It is also copied to machines with other libraries (/opt/cni/bin). The programs stay
//! position independent, so they are loaded at random addresses.
//!
//! Cargo has no such setting for one package: `-C target-feature=+crt-static` is for everything, procedural macros too, which then
//! cannot be made. So the linker is told, and each library that rustc names to it as a shared one is in the first folder where it looks,
//! as a script (ld(1), "Implicit Linker Scripts") that leads to the archive.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

/// What rustc's standard library names to the linker, and the archive that has it.
const ARCHIVES: [(&str, &str); 7] = [
    ("gcc_s", "libgcc_eh.a"),
    ("c", "libc.a"),
    ("m", "libm.a"),
    ("rt", "librt.a"),
    ("pthread", "libpthread.a"),
    ("dl", "libdl.a"),
    ("util", "libutil.a"),
];

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    let target = |what: &str| env::var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default();
    let native = env::var_os("HOST") == env::var_os("TARGET");
    if !native || target("OS") != "linux" || target("ENV") != "gnu" {
        return Ok(());
    }
    if target("FEATURE")
        .split(',')
        .any(|feature| feature == "crt-static")
    {
        return Ok(());
    }
    if let Some((_, archive)) = ARCHIVES.iter().find(|(_, archive)| !is_there(archive)) {
        println!(
            "cargo::warning=no {archive} here: the programs need the C library's shared objects, and start later"
        );
        return Ok(());
    }
    let folder = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    for (name, archive) in ARCHIVES {
        let script = folder.join(format!("lib{name}.so"));
        fs::write(script, format!("INPUT(-l:{archive})\n"))?;
    }
    println!("cargo::rustc-link-arg-bins=-static-pie");
    println!("cargo::rustc-link-arg-bins=-L{}", folder.display());
    Ok(())
}

/// True if the compiler that links has this archive: it then tells the path, else the bare name.
fn is_there(archive: &str) -> bool {
    let told = Command::new("cc")
        .arg(format!("-print-file-name={archive}"))
        .output();
    let path = told.map(|told| String::from_utf8_lossy(&told.stdout).trim().to_owned());
    path.is_ok_and(|path| Path::new(&path).is_absolute())
}
