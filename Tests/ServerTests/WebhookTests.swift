import Foundation
import MartletEndpoints
import MartletPrimitives
import MartletServer
import TestSupport
import Testing

@Suite(.serialized) struct WebhookTests {
  private static let ok = "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"

  private func body(_ request: String) throws -> JSON {
    guard let end = request.firstRange(of: "\r\n\r\n") else { throw RawClientError(reason: "no content") }
    return try JSON(parsing: String(request[end.upperBound...]))
  }

  private func wait(for count: Int, _ receiver: RawServer) {
    for _ in 0..<300 where receiver.received.count < count { usleep(20_000) }
  }

  @Test func `targets hear of publish, play, stop and unpublish, signed`() async throws {
    let receiver = try RawServer { _, _ in Self.ok }
    defer { receiver.stop() }
    let target = WebhookConfiguration.Target(url: "http://127.0.0.1:\(receiver.port)/hook?a=b", secret: Secret("shared"))
    try await withServer({ $0.webhooks.targets = [target] }) { _, port in
      try await blocking {
        var publisher: RawClient? = try publish(port: port)
        _ = try waitForStream(port: port)
        var viewer: RawClient? = try RawClient(port: port)
        viewer?.send("GET /live/cam.flv HTTP/1.1\r\nHost: x\r\nUser-Agent: test\r\n\r\n")
        _ = viewer?.receive()
        wait(for: 2, receiver)
        viewer = nil
        wait(for: 3, receiver)
        publisher = nil
        wait(for: 4, receiver)
        withExtendedLifetime((publisher, viewer)) {}
      }
    }
    let events = try receiver.received.map { try body($0)["event"]?.stringValue ?? "" }
    #expect(events == ["publish", "play", "stop", "unpublish"])
    let play = try receiver.received.dropFirst().first.map(body) ?? .null
    #expect(
      play["stream"] == "live/cam" && play["transport"] == "http-flv" && play["address"] == "127.0.0.1" && play["user_agent"] == "test")
    for request in receiver.received {
      #expect(request.hasPrefix("POST /hook?a=b HTTP/1.1\r\nHost: 127.0.0.1:\(receiver.port)\r\n"))
      guard let mark = request.firstRange(of: "Martlet-Signature: t="), let end = request.firstRange(of: "\r\n\r\n") else {
        Issue.record("no signature")
        continue
      }
      let seconds = Int64(request[mark.upperBound...].prefix { $0.isNumber }) ?? 0
      let value = WebhookSignature.value(Array(request[end.upperBound...].utf8), secret: Secret("shared"), seconds: seconds)
      #expect(request.contains("Martlet-Signature: \(value)\r\n"))
      #expect(abs(Double(seconds) - Date().timeIntervalSince1970) < 60)
    }
  }

  @Test func `a target that fails is asked again and hears everything in order`() async throws {
    let receiver = try RawServer { number, _ in
      number == 0 ? "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" : Self.ok
    }
    defer { receiver.stop() }
    let target = WebhookConfiguration.Target(url: "http://localhost:\(receiver.port)/", events: [.publish, .unpublish])
    try await withServer({ $0.webhooks.targets = [target] }) { _, port in
      try await blocking {
        var publisher: RawClient? = try publish(port: port)
        _ = try waitForStream(port: port)
        publisher = nil
        wait(for: 3, receiver)
        withExtendedLifetime(publisher) {}
      }
    }
    #expect(try receiver.received.map { try body($0)["event"]?.stringValue } == ["publish", "publish", "unpublish"])
  }

  @Test func `the authorisation server decides, and a silent one refuses`() async throws {
    let receiver = try RawServer { _, text in
      guard text.contains("\"on\":\"live/cam\"") else {
        let message = #"{"message":"not that one"}"#
        return "HTTP/1.1 403 Forbidden\r\nContent-Length: \(message.utf8.count)\r\nConnection: close\r\n\r\n\(message)"
      }
      return "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n{\"user\":\"ann\"}"
    }
    defer { receiver.stop() }
    let webhook = AuthConfiguration.Webhook(url: "http://127.0.0.1:\(receiver.port)/may", actions: [.publish])
    try await withServer({ $0.auth.webhook = webhook }) { _, port in
      try await blocking {
        let refused = try RawClient.request("POST", "/live/other.flv?token=tt&key=kk", port: port, body: "FLV")
        #expect(refused.status == 403 && refused.body.contains("not that one"))
        let publisher = try publish(port: port)
        #expect(try waitForStream(port: port)["publisher"]?["user"] == "ann")
        withExtendedLifetime(publisher) {}
      }
      let question = try receiver.received.first.map(body) ?? .null
      #expect(question["do"] == "publish" && question["transport"] == "http-flv" && question["token"] == "tt" && question["key"] == "kk")
    }
    var silent = AuthConfiguration.Webhook(url: "http://127.0.0.1:1/", actions: [.play])
    silent.timeout = .milliseconds(300)
    try await withServer({ $0.auth.webhook = silent }) { _, port in
      let answer = try await blocking { try RawClient.request("GET", "/live/cam.flv", port: port) }
      #expect(answer.status == 403 && answer.body.contains("did not answer"))
    }
  }

  @Test func `what a publisher sends while its permission is asked for is not lost`() async throws {
    let receiver = try RawServer { _, _ in
      usleep(300_000)
      return Self.ok
    }
    defer { receiver.stop() }
    let webhook = AuthConfiguration.Webhook(url: "http://127.0.0.1:\(receiver.port)/may", actions: [.publish])
    try await withServer({ $0.auth.webhook = webhook }) { _, port in
      try await blocking {
        let client = try RawClient(port: port)
        client.send("POST /live/cam.flv HTTP/1.1\r\nHost: 127.0.0.1:\(port)\r\nTransfer-Encoding: chunked\r\n\r\n")
        // Script tags of 300 kB, more than is held before the client must wait, stand before the pictures.
        let script: [UInt8] = [2, 0, 8] + Array("ignored!".utf8) + [2, 0x75, 0x30] + [UInt8](repeating: 0x61, count: 30_000)
        let bytes = { (number: Int, count: Int) in (0..<count).reversed().map { UInt8(truncatingIfNeeded: number >> ($0 * 8)) } }
        let tag = [18] + bytes(script.count, 3) + [0, 0, 0, 0, 0, 0, 0] + script + bytes(script.count + 11, 4)
        let file = try testFile()
        let content = Array(file.prefix(13)) + (0..<10).flatMap { _ in tag } + Array(file.dropFirst(13))
        client.send("\(String(content.count, radix: 16))\r\n")
        client.send(content + [13, 10])
        let stream = try waitForStream(port: port)
        #expect((stream["frames"]?.intValue ?? 0) > 20)
        withExtendedLifetime(client) {}
      }
    }
  }
}
