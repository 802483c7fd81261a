import Foundation
import MartletSDP

enum Vectors {
  static let browsers = [
    "aiortc-1.16.0-offer", "chromium-156-offer", "chromium-156-offer-simulcast", "firefox-esr-153-offer",
    "firefox-esr-153-offer-simulcast", "pion-3.1.56-offer", "safari-12-handmade-offer", "safari-17-handmade-offer",
  ]

  static func text(_ name: String) throws -> String {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Vectors")
    return try String(contentsOf: folder.appendingPathComponent(name + ".txt"), encoding: .utf8)
  }

  static func offer(_ name: String) throws -> SessionDescription { try SessionDescription(text(name)) }

  /// The offer of 2014 without its misprint in `c=`.
  static func offer2014() throws -> SessionDescription {
    try SessionDescription(text("browser-2014-offer").replacingOccurrences(of: "IP40.0.0.0", with: "IP4 0.0.0.0"))
  }
}

/// A description of one audio section, with lines to add to it.
func audio(_ lines: String..., transport: String = "UDP/TLS/RTP/SAVPF") -> String {
  let head = "v=0\no=- 1 1 IN IP4 0.0.0.0\ns=-\nt=0 0\nm=audio 9 \(transport) 111\nc=IN IP4 0.0.0.0\na=rtpmap:111 opus/48000/2\n"
  return head + lines.map { $0 + "\n" }.joined()
}

let fingerprintLine = "a=fingerprint:sha-256 " + Array(repeating: "AB", count: 32).joined(separator: ":")
let transportLines = "a=ice-ufrag:abcd\na=ice-pwd:0123456789012345678901\na=setup:actpass\n" + fingerprintLine
