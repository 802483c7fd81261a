import Glibc
import MartletHTTP
import MartletIO
import MartletPrimitives
import Testing

@testable import MartletWeb

@Suite struct FileContentTests {
  /// A megabyte whose bytes tell their places.
  private static let bytes = (0..<1_000_000).map { UInt8(truncatingIfNeeded: $0 ^ $0 >> 8 ^ $0 >> 16) }

  private func withFile(_ body: (ReadableFile) async throws -> Void) async throws {
    let name = "martlet-test-\(UInt64.random(in: 0...UInt64.max))"
    let descriptor = open("/tmp/\(name)", O_WRONLY | O_CREAT | O_EXCL, 0o600)
    #expect(FileTree.writeAll(Slice(Self.bytes), to: descriptor))
    close(descriptor)
    let file = try #require(ReadableFile.open(name, below: "/tmp"))
    unlink("/tmp/\(name)")
    try await body(file)
  }

  private func fetch(
    _ file: ReadableFile, _ fields: HTTPFields = [:], method: HTTPMethod = .get
  ) async throws -> (status: Int?, fields: HTTPFields, body: [UInt8]) {
    let loop = TestLoop()
    defer { loop.stop() }
    try await loop.run { context, clients in
      try clients.get("/file", fields, method: method, in: context)
      FileContent(file, contentType: "video/x-flv").respond(clients.exchanges[0])
    }
    try await loop.until { $0.transports[0].isFinished }
    return try await loop.run { _, clients in
      (clients.transports[0].response?.status.code, clients.transports[0].response?.fields ?? [:], clients.transports[0].body)
    }
  }

  @Test func `the whole file in order`() async throws {
    try await withFile { file in
      let answer = try await fetch(file)
      #expect(answer.status == 200 && answer.body == Self.bytes)
    }
  }

  // RFC 9110 §14.4 and §13.1.5.
  @Test func `a range, with If-Range only while the file is the same`() async throws {
    try await withFile { file in
      let part = try await fetch(file, ["Range": "bytes=300000-899999"])
      #expect(part.status == 206 && part.body == Array(Self.bytes[300_000..<900_000]))
      #expect(part.fields.first("Content-Range") == "bytes 300000-899999/1000000")
      let tag = try #require(part.fields.first("ETag"))
      let same = try await fetch(file, ["Range": "bytes=-5", "If-Range": tag])
      #expect(same.status == 206 && same.body == Array(Self.bytes.suffix(5)))
      let other = try await fetch(file, ["Range": "bytes=-5", "If-Range": "\"other\""])
      #expect(other.status == 200 && other.body.count == Self.bytes.count)
      let unmodified = try await fetch(file, ["If-None-Match": tag])
      #expect(unmodified.status == 304 && unmodified.body.isEmpty)
      let beyond = try await fetch(file, ["Range": "bytes=1000000-"])
      #expect(beyond.status == 416)
    }
  }

  @Test func `HEAD reads nothing`() async throws {
    try await withFile { file in
      let answer = try await fetch(file, method: .head)
      #expect(answer.status == 200 && answer.body.isEmpty)
    }
  }

  @Test func `a client that takes nothing is sent no more than a block, and goes on later`() async throws {
    try await withFile { file in
      let loop = TestLoop()
      defer { loop.stop() }
      try await loop.run { context, clients in
        try clients.get("/file", room: 1, in: context)
        FileContent(file, contentType: "video/x-flv").respond(clients.exchanges[0])
      }
      try await loop.until { !$0.transports[0].body.isEmpty }
      try await Task.sleep(nanoseconds: 20_000_000)
      let first = try await loop.run { _, clients in clients.transports[0].body.count }
      #expect(first == 256 * 1024)
      try await loop.run { _, clients in
        clients.transports[0].room = .max
        clients.exchanges[0].becameWritable()
      }
      try await loop.until { $0.transports[0].isFinished }
      #expect(try await loop.run { _, clients in clients.transports[0].body } == Self.bytes)
    }
  }

  @Test func `a client that leaves ends its transfer`() async throws {
    try await withFile { file in
      let loop = TestLoop()
      defer { loop.stop() }
      try await loop.run { context, clients in
        try clients.get("/file", in: context)
        FileContent(file, contentType: "video/x-flv").respond(clients.exchanges[0])
        clients.exchanges[0].didClose()
      }
      try await Task.sleep(nanoseconds: 20_000_000)
      #expect(try await loop.run { _, clients in clients.transports[0].body.count } == 0)
    }
  }
}

@Suite struct HeldExchangesTests {
  @Test func `a ticket is answered once, on the exchange's loop, from any thread`() async throws {
    let loop = TestLoop()
    defer { loop.stop() }
    let ticket = try await loop.run { context, clients in
      try clients.get("/x", in: context)
      return context.service(HeldExchanges.self).hold(clients.exchanges[0], for: .seconds(600)) { $0.refuse(.serviceUnavailable, "late") }
    }
    #expect(loop.disk.submit { for _ in 0..<3 { ticket.answer { $0.respond(.ok, text: "here") } } })
    try await loop.until { $0.transports[0].isFinished }
    #expect(try await loop.run { _, clients in clients.transports[0].body } == Array("here\n".utf8))
    #expect(try await loop.run { context, _ in context.service(HeldExchanges.self).count } == 0)
  }

  @Test func `without an answer the late one is given, and a stale ticket does nothing`() async throws {
    let loop = TestLoop()
    defer { loop.stop() }
    let ticket = try await loop.run { context, clients in
      try clients.get("/x", in: context)
      return context.service(HeldExchanges.self).hold(clients.exchanges[0], for: .milliseconds(5)) { $0.respond(404, text: "late") }
    }
    try await loop.until { $0.transports[0].isFinished }
    ticket.answer { $0.respond(.ok, text: "too late") }
    #expect(try await loop.run { _, clients in clients.transports[0].response?.status.code } == 404)
  }

  @Test func `a client that left is forgotten`() async throws {
    let loop = TestLoop()
    defer { loop.stop() }
    let isHeld = try await loop.run { context, clients in
      try clients.get("/x", in: context)
      let held = context.service(HeldExchanges.self)
      let ticket = held.hold(clients.exchanges[0], for: .seconds(10)) { _ in }
      clients.exchanges[0].didClose()
      return held.contains(ticket)
    }
    #expect(!isHeld)
  }
}
