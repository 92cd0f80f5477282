// The fuzzer's program. The environment variable COTERIE_FUZZ_TARGET names the target: all of them are
// in one program, so that one build serves them all. The arguments are libFuzzer's.
//
// The package manager gives an executable's entry point a name of its own and makes `main` an alias of
// it, so libFuzzer's `main` is left out and its driver called from here.

import FuzzTargets
import Glibc

private typealias Callback = @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt

@_silgen_name("LLVMFuzzerRunDriver")
private func runDriver(
    _ count: UnsafeMutablePointer<CInt>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?>,
    _ callback: Callback
) -> CInt

private let target: FuzzTarget? = FuzzTarget.named(
    getenv("COTERIE_FUZZ_TARGET").map { String(cString: $0) } ?? "")

/// The entry point.
@_cdecl("fuzz_main")
public func fuzzMain(
    _ count: CInt, _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
) -> CInt {
    guard target != nil else {
        // What `scripts/fuzz all` goes through.
        for target in FuzzTarget.all { print(target.name, target.isOfDisk ? "disk" : "network") }
        return 0
    }
    var count = count
    var arguments = arguments
    return runDriver(&count, &arguments) { start, count in
        target?.run(UnsafeRawBufferPointer(start: start, count: count))
        return 0
    }
}
