import Foundation
import MartletCodecs
import MartletCrypto
@testable import MartletEndpoints
import MartletICE
import MartletPeerEngine
import MartletPrimitives
import MartletRTP
import MartletSDP
import Testing

/// Answers to the offers that browsers make.
@Suite struct SessionAnswerTests {
  private static func offer(_ name: String) throws -> String {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "../../SDPTests/Vectors")
    return try String(contentsOf: folder.appending(path: "\(name).txt"), encoding: .utf8)
  }

  private static func answer(_ text: String, _ purpose: SessionAnswer.Purpose, preferred: [Codec] = []) throws -> SessionAnswer {
    var random = RandomSource(seed: 1)
    var answer = try SessionAnswer(text, for: purpose, preferred: preferred, random: &random)
    let credentials = ICECredentials(fragment: "aaaa", password: "0123456789abcdef012345")
    let mark = try #require(CertificateFingerprint(algorithm: "sha-256", digest: [UInt8](repeating: 7, count: 32)))
    answer.setTransport(credentials, mark, candidates: ["1 1 udp 2130706431 192.0.2.1 8189 typ host"])
    return answer
  }

  private static func failure(_ text: String, _ purpose: SessionAnswer.Purpose) -> String {
    do {
      _ = try answer(text, purpose)
      return "accepted"
    } catch { return "\(error)" }
  }

  @Test(arguments: [
    "chromium-156-offer", "firefox-esr-153-offer", "aiortc-1.16.0-offer", "pion-3.1.56-offer", "safari-12-handmade-offer",
    "safari-17-handmade-offer",
  ])
  func `a publisher gets one codec for each track, and an answer that is valid`(peer: String) throws {
    let offer = try Self.offer(peer)
    let answer = try Self.answer(offer, .receive)
    #expect(!answer.incoming.isEmpty && answer.outgoing.isEmpty)
    for section in answer.incoming { #expect(section.codecs.filter(\.isPrimary).count == 1) }
    let text = answer.description.write()
    let parsed = try SessionDescription(text)
    try parsed.validateForWebRTC(as: .answer)
    // As many sections in the same order (RFC 3264 §6).
    #expect(try parsed.media.map(\.kind) == SessionDescription(offer).media.map(\.kind))
    #expect(parsed.isICELite)
    #expect(text.components(separatedBy: "a=candidate:").count == 2)
    for media in parsed.media where !media.isRejected && media.kind != .application { #expect(media.direction == .recvonly) }
  }

  @Test func `three sizes are accepted as three sizes`() throws {
    for name in ["chromium-156-offer-simulcast", "firefox-esr-153-offer-simulcast"] {
      let answer = try Self.answer(try Self.offer(name), .receive)
      let video = try #require(answer.incoming.first { $0.kind == .video })
      #expect(video.rids.count > 1)
      #expect(answer.description.write().contains("a=simulcast:recv \(video.rids.joined(separator: ";"))"))
    }
  }

  @Test func `what the stream has comes first in the answer to a viewer`() throws {
    // Chromium's offer begins with VP8; it may both send and receive.
    let answer = try Self.answer(try Self.offer("chromium-156-offer"), .send, preferred: [.h264, .opus])
    let video = try #require(answer.outgoing.first { $0.kind == .video })
    #expect(video.codecs.first?.media == .h264)
    #expect(video.forwarded.payloadTypes(.h264)?.media.parameters["packetization-mode"] == "1")
    #expect(video.forwarded.payloadTypes(.hevc) == nil)
    #expect(video.ssrc != video.rtx)
  }

  // draft-holmer-rmcat-transport-wide-cc-extensions-01; of the times of sending there is no need then.
  @Test(arguments: ["chromium-156-offer", "firefox-esr-153-offer"]) func `a viewer that reports on every packet gets numbered ones`(
    peer: String
  ) throws {
    let answer = try Self.answer(try Self.offer(peer), .send, preferred: [.vp8, .opus])
    #expect(CongestionMode(answer.outgoing.map(\.extensions)) == .transportFeedback)
    for section in answer.outgoing where section.kind == .video {
      #expect(section.extensions.kinds == [.transportSequenceNumber])
      #expect(section.codecs.first?.feedback.contains(.transportCC) == true)
    }
    try SessionDescription(answer.description.write()).validateForWebRTC(as: .answer)
  }

  @Test func `a viewer that only knows REMB gets the times of sending`() throws {
    let answer = try Self.answer(try Self.offer("aiortc-1.16.0-offer"), .send, preferred: [.vp8, .opus])
    #expect(CongestionMode(answer.outgoing.map(\.extensions)) == .reports)
    let video = try #require(answer.outgoing.first { $0.kind == .video })
    #expect(video.extensions.kinds == [.absoluteSendTime] && video.codecs.first?.feedback.contains(.remb) == true)
  }

  // Unverified: the offers are made by hand after what is known of Safari.
  @Test(arguments: ["safari-12-handmade-offer", "safari-17-handmade-offer"])
  func `Safari publishes H.264 and is sent it with its retransmissions, and HEVC without parameters where it has that`(peer: String) throws
  {
    let offer = try Self.offer(peer)
    let published = try Self.answer(offer, .receive).incoming
    #expect(published.map(\.mid) == (peer.contains("12") ? ["audio", "video"] : ["0", "1"]))
    #expect(published.last?.codecs.first?.media == .h264 && published.last?.announced.first?.rtx != nil)
    let watched = try Self.answer(offer, .send, preferred: [.h264, .opus])
    let video = try #require(watched.outgoing.first { $0.kind == .video })
    let types = video.forwarded.payloadTypes(.h264)
    #expect(types?.media.parameters["packetization-mode"] == "1" && types?.rtx != nil)
    #expect((video.forwarded.payloadTypes(.hevc) != nil) == peer.contains("17"))
  }

  @Test func `an offer that cannot be used says why`() throws {
    let offer = try Self.offer("chromium-156-offer")
    #expect(Self.failure("v=0\r\nnonsense", .receive).contains("line 2"))
    #expect(Self.failure(offer.replacingOccurrences(of: "a=sendrecv", with: "a=recvonly"), .receive).contains("sendonly"))
    #expect(Self.failure(offer.replacingOccurrences(of: "a=sendrecv", with: "a=sendonly"), .send).contains("recvonly"))
    let foreign = offer.replacingOccurrences(of: "a=fingerprint:sha-256", with: "a=fingerprint:md2")
    #expect(Self.failure(foreign, .receive) != "accepted")
  }
}
