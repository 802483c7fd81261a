internal import MartletCrypto
package import MartletPrimitives

/// How a receiver knows that a message is ours and new: `Martlet-Signature: t=SECONDS,v1=HEX`, where HEX is HMAC-SHA256 with
/// the shared secret over `SECONDS.BODY`.
package enum WebhookSignature {
  package static let field = "Martlet-Signature"

  package static func fields(_ body: [UInt8], secret: Secret?, now: WallTime) -> [(name: String, value: String)] {
    var fields = [(name: "Content-Type", value: "application/json"), (name: "User-Agent", value: "Martlet/\(MartletVersion.number)")]
    if let secret { fields.append((field, value(body, secret: secret, seconds: now.milliseconds / 1000))) }
    return fields
  }

  package static func value(_ body: [UInt8], secret: Secret, seconds: Int64) -> String {
    let mac = Digest.hmac(.sha256, key: Array(secret.value.utf8), Array("\(seconds).".utf8) + body)
    return "t=\(seconds),v1=\(Hex.encode(mac))"
  }
}
