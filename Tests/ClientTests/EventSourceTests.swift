import MartletClient
import MartletHTTP
import MartletServer
import TestSupport
import Testing

/// HTML Living Standard §9.2.3: when an event source connects again, and when it does not.
@Suite(.serialized, .timeLimit(.minutes(5))) struct EventSourceTests {
  private func head(_ status: String, _ fields: [String] = ["Content-Type: text/event-stream; charset=utf-8"]) -> String {
    (["HTTP/1.1 \(status)"] + fields + ["Connection: close", "", ""]).joined(separator: "\r\n")
  }

  private var quick: EventSource.Options {
    var options = EventSource.Options()
    options.retry = .milliseconds(10)
    return options
  }

  private func end(_ source: EventSource) async -> EventSource.Failure? {
    do throws(EventSource.Failure) {
      for try await _ in source {}
      return nil
    } catch { return error }
  }

  @Test func `it comes back with the last id, waits as it is told, and 204 ends it`() async throws {
    let ok = head("200 OK")
    let server = try RawServer { number, _ in
      switch number {
      case 0: ok + "retry: 5\n\nid: 1\ndata: a\n\nid: 2\n\ndata: cut off"
      // A connection that ends in its head is one that was lost.
      case 1: "HTTP/1.1 200"
      case 2: ok + "event: e\ndata: b\n\n"
      default: "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"
      }
    }
    defer { server.stop() }
    let source = EventSource("http://127.0.0.1:\(server.port)/events", quick)
    var events: [EventSource.Event] = []
    for try await event in source { events.append(event) }
    #expect(events.map(\.data) == ["a", "b"])
    #expect(events.map(\.id) == ["1", "2"])
    #expect(events.map(\.event) == ["message", "e"])
    #expect((source.readyState, source.lastEventID) == (.closed, "2"))
    let requests = server.received
    #expect(requests.count == 4)
    #expect(!requests[0].contains("Last-Event-ID"))
    for request in requests[1...] { #expect(request.contains("Last-Event-ID: 2\r\n")) }
    for request in requests { #expect(request.contains("Accept: text/event-stream\r\n") && request.contains("Cache-Control: no-store")) }
  }

  @Test func `another status or type is an error, at once`() async throws {
    let heads = [head("500 Oops"), head("404 Not Found"), head("200 OK", ["Content-Type: text/plain"]), head("200 OK", [])]
    let server = try RawServer { number, _ in heads[min(number, 3)] + "data: x\n\n" }
    defer { server.stop() }
    for expected in [(.refused, 500), (.refused, 404), (.notAnEventStream, nil), (.notAnEventStream, nil)]
      as [(EventSource.Failure.Code, Int?)]
    {
      let failure = await end(EventSource("http://127.0.0.1:\(server.port)/", quick))
      #expect((failure?.code, failure?.status) == expected)
    }
    #expect(server.received.count == 4)
    #expect(await end(EventSource("nowhere", quick))?.code == .invalid)
  }

  @Test func `statuses of a proxy may be tried again, and attempts be counted`() async throws {
    let answers = [head("503 Busy"), head("200 OK") + "data: x\n\n", head("204 No Content", [])]
    let server = try RawServer { number, _ in answers[min(number, 2)] }
    defer { server.stop() }
    var options = quick
    options.retriedStatuses = [503]
    var count = 0
    for try await _ in EventSource("http://127.0.0.1:\(server.port)/", options) { count += 1 }
    #expect(count == 1)
    options.attempts = 2
    #expect(await end(EventSource("http://127.0.0.1:1/", options))?.code == .unreachable)
  }

  @Test func `a line without end fails, and closing ends the wait`() async throws {
    let text = head("200 OK") + "data: " + String(repeating: "x", count: 5000)
    let server = try RawServer { _, _ in text }
    defer { server.stop() }
    var options = quick
    options.maximumLine = 1000
    #expect(await end(EventSource("http://127.0.0.1:\(server.port)/", options))?.code == .tooLarge)
    options.retry = .seconds(3600)
    let source = EventSource("http://127.0.0.1:1/", options)
    let reader = Task { await end(source) }
    source.close()
    #expect(await reader.value == nil)
    #expect(source.readyState == .closed)
  }

  @Test(arguments: [true, false]) func `a channel is followed across requests, with gzip or not`(_ gzip: Bool) async throws {
    try await withServer { _, url in
      var options = quick
      options.gzip = gzip
      let client = HTTPClient()
      let source = EventSource(url("http", "channels/news/events?last=0"), options)
      var events = source.makeAsyncIterator()
      // The position comes first, without an event.
      while source.lastEventID.isEmpty { try await Task.sleep(nanoseconds: 1_000_000) }
      for number in 0..<50 {
        let body = HTTPClient.Request.Body.text("number \(number)\nof 50 " + String(repeating: "x", count: number * 100))
        #expect(try await client.post(url("http", "channels/news?event=n"), body).status == 200)
      }
      for number in 0..<50 {
        let event = try await events.next()
        #expect(event?.data.hasPrefix("number \(number)\nof 50 ") == true && event?.event == "n")
      }
      source.close()
    }
  }
}
