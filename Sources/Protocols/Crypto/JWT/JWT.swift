package import MartletPrimitives

/// Why a token was refused, or a key.
package enum JWTError: Error, Equatable, Sendable {
  case badKey(String)
  /// Not three parts of base64url with JSON objects inside, or too long.
  case malformed(String)
  /// The token asks for an algorithm that no key is for, or for one that does not exist here, such as `none`.
  case algorithmNotAllowed
  /// No key fits, or the signature is not its.
  case badSignature
  case expired
  case notYetValid
}

extension JWTError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .badKey(let reason): reason
    case .malformed(let reason): "the token is malformed: \(reason)"
    case .algorithmNotAllowed: "the token's algorithm is not that of any configured key"
    case .badSignature: "the token's signature is not valid"
    case .expired: "the token has expired"
    case .notYetValid: "the token is not valid yet"
    }
  }
}

/// What a verified token says (RFC 7519 §4).
package struct JWTClaims: Equatable, Sendable {
  package let json: JSON

  package init(_ json: JSON) { self.json = json }

  package subscript(name: String) -> JSON? { json[name] }
  package var subject: String? { json["sub"]?.stringValue }
  package var id: String? { json["jti"]?.stringValue }
  package var expiresAt: WallTime? { Self.time(json["exp"]) }
  package var notBefore: WallTime? { Self.time(json["nbf"]) }

  /// Seconds since 1970, with or without a fraction.
  static func time(_ value: JSON?) -> WallTime? {
    value?.doubleValue.map { WallTime(milliseconds: Int64(clamping: $0 * 1000)) }
  }
}

/// JSON Web Tokens in compact form (RFC 7519, RFC 7515).
package enum JWT {
  /// Bytes of a whole token: it travels in URLs and header fields.
  package static let maximumLength = 8192

  /// - Parameters:
  ///   - leeway: how far the issuer's clock may be off.
  /// - Returns: the claims of a token that one of `keys` signed and that is valid at `now`.
  package static func verify(
    _ token: String, keys: [JWTKey], now: WallTime, leeway: TimeSpan = .seconds(0)
  ) throws(JWTError) -> JWTClaims {
    guard token.utf8.count <= maximumLength else { throw .malformed("longer than \(maximumLength) bytes") }
    let parts = token.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 3 else { throw .malformed("three parts with dots between were expected") }
    let (header, payload) = (try object(parts[0]), try object(parts[1]))
    guard let signature = decode(parts[2]) else { throw .malformed("the signature is not base64url") }
    // RFC 7515 §4.1.11: extensions that must be understood, and are not.
    guard header["crit"] == nil else { throw .malformed("it has critical extensions") }
    let (name, id) = (header["alg"]?.stringValue, header["kid"]?.stringValue)
    let candidates = keys.filter { $0.algorithm.rawValue == name }
    guard !candidates.isEmpty else { throw .algorithmNotAllowed }
    let input = Array(token.utf8.prefix(parts[0].utf8.count + 1 + parts[1].utf8.count))
    let signed = candidates.contains { key in
      guard id == nil || key.id == nil || key.id == id else { return false }
      return JWTSignature.verify(signature, over: input, with: key)
    }
    guard signed else { throw .badSignature }
    try checkTimes(payload, now, leeway)
    return JWTClaims(payload)
  }

  /// RFC 7519 §4.1.4, §4.1.5. A time that is no number is not ignored: the issuer meant a limit.
  private static func checkTimes(_ payload: JSON, _ now: WallTime, _ leeway: TimeSpan) throws(JWTError) {
    let slack = max(0, leeway.milliseconds)
    if let value = payload["exp"] {
      guard let expiry = JWTClaims.time(value) else { throw .malformed("exp is no number") }
      guard now.milliseconds.subtractingReportingOverflow(slack).partialValue < expiry.milliseconds else { throw .expired }
    }
    if let value = payload["nbf"] {
      guard let start = JWTClaims.time(value) else { throw .malformed("nbf is no number") }
      guard now.milliseconds.addingReportingOverflow(slack).partialValue >= start.milliseconds else { throw .notYetValid }
    }
  }

  /// - Parameter claims: an object.
  package static func sign(_ claims: JSON, with key: JWTSigningKey) throws(JWTError) -> String {
    var header: JSON.Object = .init()
    header["alg"] = .string(key.algorithm.rawValue)
    header["typ"] = "JWT"
    if let id = key.id { header["kid"] = .string(id) }
    let input = Base64.encode(JSON.object(header).serialized, .url) + "." + Base64.encode(claims.serialized, .url)
    return input + "." + Base64.encode(try JWTSignature.sign(Array(input.utf8), with: key), .url)
  }

  private static func object(_ part: Substring) throws(JWTError) -> JSON {
    guard let bytes = decode(part) else { throw .malformed("a part is not base64url") }
    do {
      let json = try JSON(parsing: bytes)
      guard json.objectValue != nil else { throw ParseError.invalid("no object", at: 0) }
      return json
    } catch { throw .malformed("a part is no JSON object") }
  }

  /// The URL-safe alphabet without padding and nothing else (RFC 7515 §2).
  private static func decode(_ part: Substring) -> [UInt8]? {
    guard part.utf8.allSatisfy({ $0 != UInt8(ascii: "=") && $0 != UInt8(ascii: "+") && $0 != UInt8(ascii: "/") }) else { return nil }
    return Base64.decode(part)
  }
}
