// Digests against those of Python's hashlib: of "abc", and of 300 messages of every length up to 299.

import Encoding
import Testing

@Suite struct DigestTests {
    private struct Digest {
        let name: String
        let function: ([UInt8]) -> [UInt8]
        let abc: String
        /// The digest of all 300 digests.
        let all: String
    }

    private static var digests: [Digest] {
        [
            Digest(
                name: "sha1", function: { SHA1.digest($0) },
                abc: "a9993e364706816aba3e25717850c26c9cd0d89d",
                all: "3c49db8fcbdc31c3e5fc6c5e19140b6735c72b55"),
            Digest(
                name: "sha224", function: { SHA2.sha224($0) },
                abc: "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7",
                all: "502ba21a33db7232e8f16a2b402b55fc013766698cf88e204a2834ed"),
            Digest(
                name: "sha256", function: { SHA2.sha256($0) },
                abc: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
                all: "85a7b6ba443a050fc9fdf1b87b574d54a8573461c1cd4289890e21947a70fc31"),
            Digest(
                name: "sha384", function: { SHA2.sha384($0) },
                abc: "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed"
                    + "8086072ba1e7cc2358baeca134c825a7",
                all: "b2d7dad6b70621992dd92a3d0265536ad320be3561526a09063517cc4d852ecf"
                    + "eccd8346a104369102a60bedd470e376"),
            Digest(
                name: "sha512", function: { SHA2.sha512($0) },
                abc: "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
                    + "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
                all: "6a178d799d507dd0b0acc247b164e89899ac80606999e05f885c6877368810c3"
                    + "f79ebf85871cd789de1cf249b3592e909c7e9290f9b3a110f5731cbf1e047298"),
            Digest(
                name: "sha512-224", function: { SHA2.sha512($0, bits: 224) },
                abc: "4634270f707b6a54daae7530460842e20e37ed265ceee9a43e8924aa",
                all: "82f187ac009879d0af220617ee9f142c59d062f606fa6456101cb7c2"),
            Digest(
                name: "sha512-256", function: { SHA2.sha512($0, bits: 256) },
                abc: "53048e2681941ef99b2e29b76b4c7dabe4c2d0c634fc6d46e0e2f13107e7af23",
                all: "adba66c775d67e0f07384f56839f3aa0f2381b7ae07ffc3edf85bd9622243bd1"),
            Digest(
                name: "sha3-224", function: { SHA3.digest($0, bits: 224) },
                abc: "e642824c3f8cf24ad09234ee7d3c766fc9a3a5168d0c94ad73b46fdf",
                all: "75ca4689d9dd6d344d6e13fda353640a95d2d45ce6a5abaaa85e6b0a"),
            Digest(
                name: "sha3-256", function: { SHA3.digest($0, bits: 256) },
                abc: "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532",
                all: "1e2ba8411c0314f4b3d7d3ad6e330efd74ecedeaaef1c8ae29226104c75204bf"),
            Digest(
                name: "sha3-384", function: { SHA3.digest($0, bits: 384) },
                abc: "ec01498288516fc926459f58e2c6ad8df9b473cb0fc08c2596da7cf0e49be4b2"
                    + "98d88cea927ac7f539f1edf228376d25",
                all: "f0060348a08c9a39862e395eaa028ed139a97bf577860bd756ac749620b7f7e7"
                    + "432c2b3dd2182b4c293b9008de81b36d"),
            Digest(
                name: "sha3-512", function: { SHA3.digest($0, bits: 512) },
                abc: "b751850b1a57168a5693cd924b6b096e08f621827444f70d884f5d0240d2712e"
                    + "10e116e9192af3c91a7ec57647e3934057340b4cf408d5a56592f8274eec53f0",
                all: "ebd233577532c6ee92ddfd6109b9e769016786ba8beaf9086c41f537894720c4"
                    + "8cd3712e7ef50976fd4c4cf4ba450cbbc531cfa43921621ab3e8d5421d61d978"),
        ]
    }

    @Test func digestsAreThoseOfTheStandards() {
        for digest in Self.digests {
            #expect(
                HexText.text(digest.function(Array("abc".utf8))) == digest.abc, "\(digest.name)")
            var all: [UInt8] = []
            for length in 0..<300 {
                all += digest.function((0..<length).map { UInt8(($0 * 7 + length) % 251) })
            }
            #expect(HexText.text(digest.function(all)) == digest.all, "\(digest.name)")
        }
    }
}
