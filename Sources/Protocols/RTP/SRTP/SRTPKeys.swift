internal import MartletCrypto

/// The master key and salt of one direction, and the session keys derived from them (RFC 3711 §4.3, RFC 7714 §11).
package struct SRTPMasterKey: Equatable, Sendable {
  package let key: [UInt8]
  package let salt: [UInt8]

  package init(_ profile: SRTPProfile, key: [UInt8], salt: [UInt8]) throws(SRTPError) {
    guard key.count == profile.keyBytes else { throw .keyLength(expected: profile.keyBytes, found: key.count) }
    guard salt.count == profile.saltBytes else { throw .keyLength(expected: profile.saltBytes, found: salt.count) }
    self.key = key
    self.salt = salt
  }
}

/// What DTLS exports under "EXTRACTOR-dtls_srtp", cut into both directions (RFC 5764 §4.2).
package struct SRTPKeyingMaterial: Equatable, Sendable {
  /// What the DTLS client writes with.
  package let client: SRTPMasterKey
  package let server: SRTPMasterKey

  package static func byteCount(_ profile: SRTPProfile) -> Int { 2 * (profile.keyBytes + profile.saltBytes) }

  /// - Parameter exported: `byteCount(profile)` bytes.
  package init(_ profile: SRTPProfile, exported: [UInt8]) throws(SRTPError) {
    let expected = Self.byteCount(profile)
    guard exported.count == expected else { throw .keyLength(expected: expected, found: exported.count) }
    let keys = exported.prefix(2 * profile.keyBytes)
    let salts = exported.dropFirst(2 * profile.keyBytes)
    client = try SRTPMasterKey(profile, key: Array(keys.prefix(profile.keyBytes)), salt: Array(salts.prefix(profile.saltBytes)))
    server = try SRTPMasterKey(profile, key: Array(keys.suffix(profile.keyBytes)), salt: Array(salts.suffix(profile.saltBytes)))
  }
}

/// The keys of RTP or of RTCP in one direction.
package struct SRTPSessionKeys: Equatable, Sendable {
  /// RFC 3711 §4.3.2: the labels of RTCP are three higher.
  package enum Purpose: UInt8, Sendable { case rtp = 0, rtcp = 3 }

  package var encryption: [UInt8]
  /// Empty where encryption authenticates as well.
  package var authentication: [UInt8]
  package var salt: [UInt8]

  package init(encryption: [UInt8], authentication: [UInt8], salt: [UInt8]) {
    self.encryption = encryption
    self.authentication = authentication
    self.salt = salt
  }

  package init(_ profile: SRTPProfile, _ master: SRTPMasterKey, _ purpose: Purpose) {
    let cipher = AESCTR(key: master.key)
    // RFC 7714 §11: a salt of 96 bits is followed by 16 zero bits. The label meets the eighth of fourteen bytes, since with a
    // derivation rate of zero the 48-bit index behind it is zero (RFC 3711 §4.3.1).
    let padded = master.salt + [UInt8](repeating: 0, count: 16 - min(16, master.salt.count))
    let high = padded.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
    let low = padded.suffix(8).reduce(0) { $0 << 8 | UInt64($1) }
    func derive(_ label: UInt8, _ count: Int) -> [UInt8] {
      cipher.keyStream(AESCTR.Counter(high: high ^ UInt64(label), low: low), count: count)
    }
    encryption = derive(purpose.rawValue, profile.keyBytes)
    // RFC 3711 §5.2: 160 bits.
    authentication = profile.isGCM ? [] : derive(purpose.rawValue + 1, 20)
    salt = derive(purpose.rawValue + 2, profile.saltBytes)
  }
}
