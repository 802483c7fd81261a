internal import COpenSSL

/// One-shot digests and message authentication codes (FIPS 180-4, RFC 2104) through OpenSSL.
package enum Digest {
  package enum Algorithm: Sendable { case md5, sha1, sha256, sha384, sha512 }

  package static func hash(_ algorithm: Algorithm, _ data: RawSpan) -> [UInt8] {
    var output = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
    var size: UInt32 = 0
    let done = data.withUnsafeBytes { EVP_Digest($0.baseAddress, $0.count, &output, &size, algorithm.evp, nil) }
    precondition(done == 1, "OpenSSL provides \(algorithm)")
    output.removeLast(output.count - Int(size))
    return output
  }

  package static func hash(_ algorithm: Algorithm, _ data: [UInt8]) -> [UInt8] { hash(algorithm, data.span.bytes) }

  package static func hmac(_ algorithm: Algorithm, key: [UInt8], _ data: RawSpan) -> [UInt8] {
    var output = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
    var size: UInt32 = 0
    // OpenSSL takes a null key to mean "the previous one", so an empty key still passes an address.
    let padded = key.isEmpty ? [0] : key
    let done = data.withUnsafeBytes {
      HMAC(algorithm.evp, padded, Int32(key.count), $0.baseAddress, $0.count, &output, &size)
    }
    precondition(done != nil, "OpenSSL provides HMAC with \(algorithm)")
    output.removeLast(output.count - Int(size))
    return output
  }

  package static func hmac(_ algorithm: Algorithm, key: [UInt8], _ data: [UInt8]) -> [UInt8] { hmac(algorithm, key: key, data.span.bytes) }

  /// Compares secrets in time that depends only on their lengths.
  package static func equal(_ a: [UInt8], _ b: [UInt8]) -> Bool { a.count == b.count && CRYPTO_memcmp(a, b, a.count) == 0 }
}

extension Digest.Algorithm {
  /// Length of the result.
  package var byteCount: Int {
    switch self {
    case .md5: 16
    case .sha1: 20
    case .sha256: 32
    case .sha384: 48
    case .sha512: 64
    }
  }

  internal var evp: OpaquePointer? {
    switch self {
    case .md5: EVP_md5()
    case .sha1: EVP_sha1()
    case .sha256: EVP_sha256()
    case .sha384: EVP_sha384()
    case .sha512: EVP_sha512()
    }
  }
}
