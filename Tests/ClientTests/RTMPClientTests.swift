import MartletClient
import MartletIO
import MartletPrimitives
import MartletServer
import Testing

/// A whole server on ports that the kernel chose, for the length of `body`.
func withServer(
  _ change: (inout Server.Configuration) throws -> Void = { _ in },
  _ body: (Server, _ url: @escaping (_ scheme: String, _ path: String) -> String) async throws -> Void
) async throws {
  var configuration = Server.Configuration()
  try configuration.listen(http: 0, rtmp: 0, rtmps: 0)
  try configuration.set("workers", "2")
  try configuration.set("drain", "200ms")
  try change(&configuration)
  let server = try await Server.start(configuration, log: .silent)
  let url = { (scheme: String, path: String) in
    "\(server.listeners.first { $0.scheme == scheme }.map { "\($0)" } ?? "closed://")/\(path)"
  }
  do { try await body(server, url) } catch {
    await server.stop()
    throw error
  }
  await server.stop()
}

/// Looks every 20 ms, for at most ten seconds.
func eventually(_ condition: () async throws -> Bool) async rethrows -> Bool {
  for _ in 0..<500 {
    if try await condition() { return true }
    try? await Task.sleep(nanoseconds: 20_000_000)
  }
  return false
}

@Suite(.serialized, .timeLimit(.minutes(5))) struct RTMPClientTests {
  private func code(_ url: String, _ options: RTMPOptions = RTMPOptions()) async -> RTMPClientError? {
    do throws(RTMPClientError) {
      await (try RTMPPublisher(url, options)).close()
      return nil
    } catch { return error }
  }

  @Test func `what is published is played, frame by frame`() async throws {
    // One group of pictures, which whoever comes later gets from its beginning.
    var packets = try await Vector.packets()
    let keys = packets.indices.filter { if case .frame(let frame) = packets[$0] { frame.isKey && frame.kind == .video } else { false } }
    if keys.count > 1 { packets.removeSubrange(keys[1]...) }
    try await withServer { _, url in
      let publisher = try await RTMPPublisher(url("rtmp", "live/cam"))
      try await publisher.send(packets)
      let player = try await RTMPPlayer(url("rtmp", "live/cam"))
      var frames: [MediaFrame] = []
      var formats: [MediaFormat] = []
      for try await batch in player.batches {
        formats += batch.formats
        frames += batch.frames
        if frames.count >= packets.frames.count { break }
      }
      #expect(Set(formats.map(\.codec)) == [.h264, .aac])
      for kind in [MediaFrame.Kind.video, .audio] {
        let sent = packets.frames.filter { $0.kind == kind }
        let received = frames.filter { $0.kind == kind }
        let isSame = sent.map(\.slice) == received.map(\.slice)
        #expect(isSame, "every \(kind.rawValue) frame, in order")
        let reorders = sent.map { $0.presentationTime - $0.decodeTime } == received.map { $0.presentationTime - $0.decodeTime }
        #expect(reorders)
      }
      await publisher.close()
    }
  }

  @Test func `a player hears the end of the stream as the end of its sequence`() async throws {
    let packets = try await Vector.packets()
    try await withServer {
      try $0.set("streams.grace", "100ms")
    } _: { server, url in
      let local = try await server.publish("live/end")
      try await local.send(packets)
      let player = try await RTMPPlayer(url("rtmp", "live/end"))
      var count = 0
      for try await packet in player {
        if count == 0 { await local.finish() }
        if case .frame = packet { count += 1 }
      }
      #expect(count > 0)
    }
  }

  @Test func `refusals carry what the server answered`() async throws {
    try await withServer { server, url in
      let held = try await server.publish("live/held")
      guard case .refused(let code, let description)? = await code(url("rtmp", "live/held")) else {
        Issue.record("a name that is taken was given")
        return
      }
      #expect(code == "NetStream.Publish.BadName")
      #expect(!description.isEmpty)
      await held.finish()
    }
  }

  @Test func `what cannot be reached says why`() async throws {
    #expect(await code("http://127.0.0.1/live/cam") == .invalidURL("http://127.0.0.1/live/cam"))
    guard case .unreachable? = await code("rtmp://127.0.0.1:1/live/cam") else {
      Issue.record("nobody listens on port 1")
      return
    }
    try await withServer { _, url in
      // An HTTP server closes, or answers in its own language.
      switch await code(url("http", "live/cam").replacing("http:", with: "rtmp:")) {
      case .malformed, .closed: break
      case let other: Issue.record("\(String(describing: other))")
      }
    }
  }

  @Test func `TLS is verified unless it is said not to be`() async throws {
    try await withServer { _, url in
      guard case .unreachable(let reason)? = await code(url("rtmps", "live/tls")) else {
        Issue.record("a certificate that nobody vouches for was believed")
        return
      }
      #expect(reason.contains("certificate"))
      var options = RTMPOptions()
      options.trust = .insecure
      #expect(await code(url("rtmps", "live/tls"), options) == nil)
    }
  }

  @Test func `a sender waits for a server that does not read, and hears that it went`() async throws {
    let packets = try await Vector.packets()
    try await withServer { server, url in
      var options = RTMPOptions()
      options.bufferedBytes = 64 * 1024
      let publisher = try await RTMPPublisher(url("rtmp", "live/busy"), options)
      let sent = Count()
      let sender = Task {
        while true {
          try await publisher.send(packets)
          sent.add()
        }
      }
      #expect(await eventually { sent.now > 3 })
      await server.stop()
      await #expect(throws: RTMPClientError.self) { try await sender.value }
    }
  }

  @Test func `a player that does not read holds little, and still gets the rest`() async throws {
    let packets = try await Vector.packets()
    try await withServer { server, url in
      var options = RTMPOptions()
      options.bufferedBytes = 16 * 1024
      let local = try await server.publish("live/slow")
      try await local.send(packets)
      let player = try await RTMPPlayer(url("rtmp", "live/slow"), options)
      try await Task.sleep(nanoseconds: 200_000_000)
      var largest = 0
      var count = 0
      for try await batch in player.batches {
        largest = max(largest, batch.frames.reduce(0) { $0 + $1.slice.count })
        count += batch.frames.count
        if count >= 20 { break }
      }
      // One read of the socket may come on top.
      #expect(largest < 16 * 1024 + 256 * 1024)
      await local.finish()
    }
  }

  @Test func `closing a player ends its sequence, and cancelling a task its wait`() async throws {
    let packets = try await Vector.packets()
    try await withServer { server, url in
      let local = try await server.publish("live/still")
      try await local.send(packets)
      let player = try await RTMPPlayer(url("rtmp", "live/still"))
      let task = Task { for try await _ in player {} }
      try await Task.sleep(nanoseconds: 50_000_000)
      task.cancel()
      await #expect(throws: RTMPClientError.cancelled) { try await task.value }
      player.close()
      for try await _ in player {}
      await local.finish()
      await #expect(throws: RTMPClientError.self) {
        var options = RTMPOptions()
        options.stepTimeout = .milliseconds(100)
        _ = try await RTMPPlayer(url("rtmp", "live/nobody"), options)
      }
    }
  }

  @Test(arguments: [("", true), ("/live", true), ("/live/cam", true), ("/other", false)])
  func `a redirect is followed, and not for ever`(path: String, publishesHere: Bool) async throws {
    try await withServer { server, url in
      let redirecting = try await Redirector(to: url("rtmp", "").dropLast() + path)
      let publisher = try await RTMPPublisher("rtmp://127.0.0.1:\(redirecting.port)/live/cam?token=x")
      let packets = try await Vector.packets()
      try await publisher.send(packets)
      let there = publishesHere ? "live/cam" : "other/cam"
      #expect(await eventually { await server.streams().contains { $0.path == there && $0.isLive } })
      await publisher.close()
      redirecting.stop()
    }
    let round = try await Redirector(to: nil)
    guard case .redirected? = await code("rtmp://127.0.0.1:\(round.port)/live/cam") else {
      Issue.record("a circle was followed for ever")
      return
    }
    round.stop()
  }
}
