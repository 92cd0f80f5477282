// The order of keys: unsigned bytes, the shorter first where one begins with the other.

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Negative, zero or positive as `a` sorts before, with or after `b`.
package func compareBytes(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Int {
    let shared = min(a.count, b.count)
    if shared > 0, let left = a.baseAddress, let right = b.baseAddress {
        let order = Int(memcmp(left, right, shared))
        if order != 0 { return order }
    }
    return a.count - b.count
}

/// Negative, zero or positive as `a` sorts before, with or after `b`.
package func compareBytes(_ a: [UInt8], _ b: [UInt8]) -> Int {
    a.withUnsafeBytes { left in b.withUnsafeBytes { right in compareBytes(left, right) } }
}

/// Whether two stretches hold the same bytes.
package func equalBytes(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Bool {
    guard a.count == b.count else { return false }
    guard a.count > 0, let left = a.baseAddress, let right = b.baseAddress else { return true }
    return memcmp(left, right, a.count) == 0
}
