import MartletPrimitives
import Testing

@testable import MartletMedia

@Suite struct StreamDirectoryTests {
  private func configuration(_ takeover: StreamConfiguration.Takeover, streams: Int = 10) -> StreamConfiguration {
    var configuration = StreamConfiguration()
    (configuration.takeover, configuration.maximumStreams) = (takeover, streams)
    return configuration
  }

  @Test func `the first publisher's worker is the home, the second publisher is refused`() throws {
    let directory = StreamDirectory()
    let claim = try directory.claim(.test(), worker: 3, configuration(.reject))
    #expect(claim.home == 3 && claim.replaced == nil && directory.home(of: .test()) == 3)
    do {
      _ = try directory.claim(.test(), worker: 1, configuration(.reject))
      Issue.record("two publishers of one name")
    } catch {
      #expect(error == .taken(.test()) && "\(error)".contains("streams.takeover"))
    }
  }

  @Test func `a takeover names the one replaced, and the stream stays where it is`() throws {
    let directory = StreamDirectory()
    let first = try directory.claim(.test(), worker: 0, configuration(.replace))
    let second = try directory.claim(.test(), worker: 1, configuration(.replace))
    #expect(second.home == 0 && second.replaced?.publication == first.publication && second.replaced?.worker == 0)
    // The first one leaving, late, changes nothing.
    directory.release(.test(), publication: first.publication)
    let third = try directory.claim(.test(), worker: 2, configuration(.replace))
    #expect(third.replaced?.publication == second.publication && third.publication > second.publication)
  }

  @Test func `a released name can be taken by anyone, and keeps its home until it is removed`() throws {
    let directory = StreamDirectory()
    let first = try directory.claim(.test(), worker: 0, configuration(.reject))
    #expect(!directory.remove(.test()), "somebody publishes")
    directory.release(.test(), publication: first.publication)
    let second = try directory.claim(.test(), worker: 1, configuration(.reject))
    #expect(second.home == 0 && second.replaced == nil)
    directory.release(.test(), publication: second.publication)
    #expect(directory.remove(.test()) && !directory.remove(.test()) && directory.count == 0)
    #expect(try directory.claim(.test(), worker: 1, configuration(.reject)).home == 1)
  }

  @Test func `there are no more streams than the limit, but a publisher may come back to one`() throws {
    let directory = StreamDirectory()
    let one = configuration(.reject, streams: 1)
    let claim = try directory.claim(.test("live/a"), worker: 0, one)
    do {
      _ = try directory.claim(.test("live/b"), worker: 0, one)
      Issue.record("a stream too many")
    } catch { #expect(error == .tooManyStreams(limit: 1)) }
    directory.release(.test("live/a"), publication: claim.publication)
    _ = try directory.claim(.test("live/a"), worker: 0, one)
  }
}
