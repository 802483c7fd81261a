import MartletCrypto
import MartletPrimitives
import TestSupport
import Testing

@Suite struct JWTTests {
  // RFC 7515 appendix A.1 to A.3: one payload, {"iss":"joe","exp":1300819380,…}.
  static let payload = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
  static let hs = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\(payload).dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
  static let rs =
    "eyJhbGciOiJSUzI1NiJ9.\(payload).cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
  static let es =
    "eyJhbGciOiJFUzI1NiJ9.\(payload).DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
  static let before = WallTime(milliseconds: 1_300_819_379_999)
  static let after = WallTime(milliseconds: 1_300_819_380_000)

  static func keys() throws -> [JWTKey] {
    let secret = try #require(Base64.decode("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"))
    return [
      try JWTKey(secret: secret), try JWTKey(publicKeyPEM: Array(ExampleKeys.rsa.utf8)),
      try JWTKey(publicKeyPEM: Array(ExampleKeys.p256.utf8)),
      try JWTKey(publicKeyPEM: Array(ExampleKeys.ed25519Public.utf8)),
    ]
  }

  func error(_ token: String, _ keys: [JWTKey], now: WallTime = before, leeway: TimeSpan = .zero) -> JWTError? {
    do {
      _ = try JWT.verify(token, keys: keys, now: now, leeway: leeway)
      return nil
    } catch { return error }
  }

  static let secret = Array("a secret of thirty-two bytes ok!".utf8)

  func minted(_ claims: JSON) throws -> String { try JWT.sign(claims, with: JWTSigningKey(secret: Self.secret)) }

  @Test(arguments: [hs, rs, es])
  func `the examples of RFC 7515 verify with their own key only`(token: String) throws {
    let keys = try Self.keys()
    #expect(keys.map(\.algorithm) == [.hs256, .rs256, .es256, .edDSA])
    let claims = try JWT.verify(token, keys: keys, now: Self.before)
    #expect(claims["iss"] == "joe" && claims["http://example.com/is_root"] == true && claims.expiresAt == Self.after)
    let others = keys.filter { error(token, [$0]) != nil }
    #expect(others.count == 3 && others.allSatisfy { error(token, [$0]) == .algorithmNotAllowed })
    #expect(error(token, keys, now: Self.after) == .expired && error(token, keys, now: Self.after, leeway: .seconds(1)) == nil)
  }

  @Test(arguments: [hs, rs, es])
  func `a changed token is refused wherever it is changed`(token: String) throws {
    let keys = try Self.keys()
    let bytes = Array(token.utf8)
    for index in bytes.indices
    where bytes[index] != UInt8(ascii: ".") && index % (token.utf8.count > 400 ? 7 : 1) == 0 && index != bytes.count - 1 {
      var changed = bytes
      changed[index] = changed[index] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
      #expect(error(String(decoding: changed, as: UTF8.self), keys) != nil, "\(index)")
    }
    for count in 0..<bytes.count - 1 where count % 5 == 0 { #expect(error(String(decoding: bytes[..<count], as: UTF8.self), keys) != nil) }
  }

  // RFC 8037 appendix A.4 and A.5: the payload there is text, not JSON.
  @Test func `Ed25519 signs and verifies as in RFC 8037`() throws {
    let input = Array("eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc".utf8)
    let signature = try #require(Base64.decode("hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"))
    let key = try JWTKey(publicKeyPEM: Array(ExampleKeys.ed25519Public.utf8))
    #expect(JWTSignature.verify(signature, over: input, with: key) && !JWTSignature.verify(signature, over: input + [0], with: key))
    let token = try JWT.sign(["sub": "x"], with: JWTSigningKey(privateKeyPEM: Array(ExampleKeys.ed25519Private.utf8)))
    #expect(try JWT.verify(token, keys: [key], now: Self.before).subject == "x")
  }

  @Test func `ES256 signatures made here verify`() throws {
    let issued = try Certificate.selfSigned(names: ["a"], now: Self.before)
    let key = try JWTSigningKey(privateKeyPEM: issued.privateKeyPEM, id: "k1")
    let check = try JWTKey(publicKeyPEM: issued.certificatePEM, id: "k1")
    // Many, since r or s is shorter than 32 bytes in one of a hundred.
    for n in 0..<300 { #expect(error(try JWT.sign(["n": .int(Int64(n))], with: key), [check]) == nil) }
    let other = try JWTKey(publicKeyPEM: issued.certificatePEM, id: "k2")
    #expect(error(try JWT.sign([:], with: key), [other]) == .badSignature)
  }

  // RFC 8725 §2.1, §3.1: the two classic forgeries.
  @Test func `no algorithm none, and no HMAC with a public key`() throws {
    let keys = try Self.keys()
    for header in [#"{"alg":"none"}"#, #"{"alg":"None"}"#, #"{"alg":"hs256"}"#, "{}", #"{"alg":null}"#, #"{"alg":"HS512"}"#] {
      let part = Base64.encode(Array(header.utf8), .url)
      #expect(error("\(part).\(Self.payload).", keys) == .algorithmNotAllowed)
      #expect(error("\(part).\(Self.payload).AAAA", keys) == .algorithmNotAllowed)
    }
    let forged = try JWT.sign(["sub": "admin"], with: JWTSigningKey(secret: Array(ExampleKeys.rsa.utf8)))
    #expect(error(forged, [keys[1]]) == .algorithmNotAllowed && error(forged, keys) == .badSignature)
  }

  @Test func `times are checked with leeway`() throws {
    let key = try JWTKey(secret: Self.secret)
    let now = WallTime(milliseconds: 1_000_000)
    for (claims, expected) in [
      (["exp": 1000], .expired), (["exp": 1000.5], nil), (["nbf": 1001], .notYetValid), (["nbf": 1000], nil), (["exp": -1e300], .expired),
      (["exp": 1e300], nil), (["exp": "soon"], .malformed("exp is no number")), (["nbf": nil], .malformed("nbf is no number")),
    ] as [(JSON, JWTError?)] {
      let token = try minted(claims)
      #expect(error(token, [key], now: now) == expected, "\(claims)")
    }
    let early = try minted(["nbf": 1001])
    #expect(error(early, [key], now: now, leeway: .seconds(1)) == nil)
  }

  @Test func `what is no token is malformed`() throws {
    let keys = try Self.keys()
    for text in ["", ".", "..", "...", "a.b.c", Self.hs + "=", Self.hs + ".x", " " + Self.hs, String(repeating: "a", count: 9000)] {
      guard case .malformed? = error(text, keys) else {
        Issue.record("\(text)")
        continue
      }
    }
    let critical = Base64.encode(Array(#"{"alg":"HS256","crit":["x"]}"#.utf8), .url)
    #expect(error("\(critical).\(Self.payload).AAAA", keys) == .malformed("it has critical extensions"))
  }

  @Test func `weak and wrong keys are refused`() {
    #expect(throws: JWTError.self) { _ = try JWTKey(secret: [1, 2, 3]) }
    #expect(throws: JWTError.self) { _ = try JWTKey(publicKeyPEM: Array("garbage".utf8)) }
    #expect(throws: JWTError.self) { _ = try JWTSigningKey(privateKeyPEM: Array(ExampleKeys.rsa.utf8)) }
  }
}
