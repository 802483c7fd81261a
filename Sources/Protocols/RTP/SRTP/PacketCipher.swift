internal import MartletCrypto

/// Encryption and authentication of RTP or of RTCP under the session keys of one direction.
///
/// A packet is protected as header (authenticated only) and body (encrypted as well). `trailer` is the word that RTCP carries
/// behind its body; with RTP it is the roll-over counter, which is authenticated in counter mode and never sent.
enum PacketCipher {
  case gcm(AESGCM, salt: AESGCM.Nonce)
  case counterMode(AESCTR, HMACSHA1, salt: AESCTR.Counter, tagBytes: Int)

  init(_ profile: SRTPProfile, _ keys: SRTPSessionKeys, _ purpose: AESGCM.Purpose, tagBytes: Int) {
    let salt = keys.salt + [UInt8](repeating: 0, count: max(0, 16 - keys.salt.count))
    func integer(_ range: Range<Int>) -> UInt64 { salt[range].reduce(0) { $0 << 8 | UInt64($1) } }
    if profile.isGCM {
      let nonce = AESGCM.Nonce(high: integer(0..<8), low: UInt32(truncatingIfNeeded: integer(8..<12)))
      self = .gcm(AESGCM(purpose, key: keys.encryption), salt: nonce)
    } else {
      let counter = AESCTR.Counter(high: integer(0..<8), low: integer(8..<16))
      self = .counterMode(AESCTR(key: keys.encryption), HMACSHA1(key: keys.authentication), salt: counter, tagBytes: tagBytes)
    }
  }

  /// RFC 7714 §8.1 (RTP) and §9.1 (RTCP): two zero bytes, SSRC, index in 48 bits, combined with the salt.
  static func nonce(_ salt: AESGCM.Nonce, ssrc: UInt32, index: UInt64) -> AESGCM.Nonce {
    AESGCM.Nonce(
      high: salt.high ^ (UInt64(ssrc) << 16 | index >> 32), low: salt.low ^ UInt32(truncatingIfNeeded: index))
  }

  /// RFC 3711 §4.1.1: (salt · 2¹⁶) ⊕ (SSRC · 2⁶⁴) ⊕ (index · 2¹⁶); the low 16 bits count the blocks.
  static func counter(_ salt: AESCTR.Counter, ssrc: UInt32, index: UInt64) -> AESCTR.Counter {
    AESCTR.Counter(high: salt.high ^ UInt64(ssrc), low: salt.low ^ index << 16)
  }
}
