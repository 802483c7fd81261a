import MartletPrimitives
import MartletRTP
import Testing

@Suite struct SRTPVectorTests {
  private let master = "E1F97A0D3E018BE0D64FA32C06DE4139"
  private let salt = "0EC675AD498AFEEBB6960B3AABE6"
  private let key128 = "000102030405060708090a0b0c0d0e0f"
  private let key256 = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
  private let gcmSalt = "517569642070726f2071756f"

  private func keys(_ key: String, _ salt: String) -> SRTPSessionKeys {
    SRTPSessionKeys(encryption: hex(key), authentication: [], salt: hex(salt))
  }

  // RFC 3711 Appendix B.3.
  @Test func `AES-CM key derivation`() throws {
    let profile = SRTPProfile.aes128CounterModeHMACSHA1_80
    let keys = SRTPSessionKeys(profile, try SRTPMasterKey(profile, key: hex(master), salt: hex(salt)), .rtp)
    #expect(keys.encryption == hex("C61E7A93744F39EE10734AFE3FF7A087"))
    #expect(keys.authentication == hex("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4"))
    #expect(keys.salt == hex("30CBBC08863D8C85D49DB34A9AE1"))
  }

  // RFC 7714 §11 with libsrtp's test key: the 96-bit salt is padded on the right.
  @Test func `the derivation for GCM pads the salt`() throws {
    let profile = SRTPProfile.aeadAES128GCM
    let keys = SRTPSessionKeys(profile, try SRTPMasterKey(profile, key: hex(key128), salt: hex("a0a1a2a3a4a5a6a7a8a9aaab")), .rtp)
    #expect(keys.encryption == hex("077c6143cb221bc355ff23d5f984a16e"))
    #expect(keys.salt == hex("9af3e95364ebac9c99c5a7c4"))
  }

  private let rtp =
    "8040f17b8041f8d35501a0b247616c6c696120657374206f6d6e69732064697669736120696e207061727465732074726573"

  // RFC 7714 §16.1 and §16.2.
  @Test(arguments: [
    (
      SRTPProfile.aeadAES128GCM,
      "8040f17b8041f8d35501a0b2f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833"
        + "899d7f27beb16a9152cf765ee4390cce"
    ),
    (
      .aeadAES256GCM,
      "8040f17b8041f8d35501a0b232b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba63799b87b"
        + "7aa3db36dfffd6b0f9bb7878d7a76c13"
    ),
  ]) func `RTP under AES-GCM`(_ profile: SRTPProfile, _ expected: String) throws {
    let keys = keys(profile == .aeadAES128GCM ? key128 : key256, gcmSalt)
    var sender = SRTPSender(profile, rtp: keys, rtcp: keys)
    let result1 = try sender.protected(hex(rtp))
    #expect(result1 == hex(expected))
    var receiver = SRTPReceiver(profile, rtp: keys, rtcp: keys)
    let result2 = try receiver.unprotected(hex(expected))
    #expect(result2 == hex(rtp))
  }

  private let rtcp =
    "81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61deadbeefdeadbeefdeadbeefdeadbeefdeadbeef"

  // RFC 7714 §17.1 and §17.2: the packet with index 0x5d4.
  @Test(arguments: [
    (
      SRTPProfile.aeadAES128GCM,
      "81c8000d4d61727363e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda4ce09b4686303ded0bb9275b"
        + "c84aa45896cf4d2fc5abf87245d9eade800005d4"
    ),
    (
      .aeadAES256GCM,
      "81c8000d4d617273d50ae4d1f5ce5d304ba297e47d470c282c3ece5dbffe0a50a2eaa5c1110555be8415f658c61de0476f1b6fad"
        + "1d1eb30c4446839f57ff6f6cb26ac3be800005d4"
    ),
  ]) func `RTCP under AES-GCM`(_ profile: SRTPProfile, _ expected: String) throws {
    let keys = keys(profile == .aeadAES128GCM ? key128 : key256, gcmSalt)
    var sender = SRTPSender(profile, rtp: keys, rtcp: keys)
    for _ in 0..<0x5d4 { _ = try sender.protectedControl(hex(rtcp)) }
    let result3 = try sender.protectedControl(hex(rtcp))
    #expect(result3 == hex(expected))
    var receiver = SRTPReceiver(profile, rtp: keys, rtcp: keys)
    let result4 = try receiver.unprotectedControl(hex(expected))
    #expect(result4 == hex(rtcp))
  }

  // RFC 7714 §17.3: a genuine packet whose E-bit is clear.
  @Test func `RTCP in clear is refused`() {
    let keys = keys(key128, gcmSalt)
    var receiver = SRTPReceiver(.aeadAES128GCM, rtp: keys, rtcp: keys)
    #expect(throws: SRTPError.unencrypted(ssrc: 0x4d61_7273)) {
      try receiver.unprotectedControl(hex(rtcp + "841dd9683dd78ec92ae58790125f62b3000005d4"))
    }
  }

  // The reference packets of libsrtp's srtp_driver for its default policy.
  @Test func `RTP and RTCP under AES-CM with HMAC-SHA1-80`() throws {
    let profile = SRTPProfile.aes128CounterModeHMACSHA1_80
    let key = try SRTPMasterKey(profile, key: hex(master), salt: hex(salt))
    let plain = hex("800f1234decafbadcafebabeabababababababababababababababab")
    let protected = hex("800f1234decafbadcafebabe4e55dc4ce79978d88ca4d215949d2402b78d6acc99ea179b8dbb")
    var sender = SRTPSender(profile, key)
    let result5 = try sender.protected(plain)
    #expect(result5 == protected)
    var receiver = SRTPReceiver(profile, key)
    let result6 = try receiver.unprotected(protected)
    #expect(result6 == plain)

    let control = hex("81c8000bcafebabeabababababababababababababababab")
    let protectedControl = hex("81c8000bcafebabe7128035be487b9bdbef89041f977a5a880000001993e08cd54d6c1230798")
    _ = try sender.protectedControl(control)
    let result7 = try sender.protectedControl(control)
    #expect(result7 == protectedControl)
    let result8 = try receiver.unprotectedControl(protectedControl)
    #expect(result8 == control)
  }
}
