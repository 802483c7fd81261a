internal import COpenSSL

/// Reads and writes PEM (RFC 7468) over memory.
internal enum PEM {
  /// Calls `body` with a BIO that reads `bytes`.
  static func reading<R>(_ bytes: [UInt8], _ body: (OpaquePointer) -> R) -> R? {
    bytes.withUnsafeBytes { buffer -> R? in
      guard let bio = BIO_new_mem_buf(buffer.baseAddress, Int32(clamping: buffer.count)) else { return nil }
      defer { BIO_free(bio) }
      return body(bio)
    }
  }

  /// What `body` writes.
  static func writing(_ body: (OpaquePointer) -> Int32) -> [UInt8]? {
    guard let bio = BIO_new(BIO_s_mem()) else { return nil }
    defer { BIO_free(bio) }
    guard body(bio) == 1 else { return nil }
    var output: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = BIO_read(bio, &chunk, Int32(chunk.count))
      guard count > 0 else { return output }
      output.append(contentsOf: chunk[..<Int(count)])
    }
  }

  /// All certificates in order; the caller frees them.
  static func certificates(_ bytes: [UInt8]) -> [OpaquePointer] {
    defer { OpenSSLFailure.clear() }
    return reading(bytes) { bio in
      var certificates: [OpaquePointer] = []
      while let certificate = PEM_read_bio_X509(bio, nil, refusePassphrase, nil) { certificates.append(certificate) }
      return certificates
    } ?? []
  }

  /// The first private key; the caller frees it. Encrypted keys are refused: nobody is there to ask for a passphrase.
  static func privateKey(_ bytes: [UInt8]) -> OpaquePointer? {
    reading(bytes) { PEM_read_bio_PrivateKey($0, nil, refusePassphrase, nil) } ?? nil
  }

  static func publicKey(_ bytes: [UInt8]) -> OpaquePointer? {
    reading(bytes) { PEM_read_bio_PUBKEY($0, nil, refusePassphrase, nil) } ?? nil
  }

  /// Without a callback OpenSSL would ask on the terminal.
  private static let refusePassphrase: @convention(c) (UnsafeMutablePointer<CChar>?, Int32, Int32, UnsafeMutableRawPointer?) -> Int32 = {
    _, _, _, _ in -1
  }
}
