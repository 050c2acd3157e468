import LockVocabulary
import Testing

@Suite("Arrays with one owner") struct OwnedArrayTests {
    @Test("an array keeps its elements in order while it grows") func growth() {
        var array = OwnedArray<String>()
        for number in 0..<100 { array.append("element \(number)") }
        #expect(array.count == 100)
        for number in 0..<100 { #expect(array[number] == "element \(number)") }
        array[99] = "another"
        #expect(array.popLast() == "another")
        #expect(array.popLast() == "element 98")
    }

    @Test("elements are removed at both ends") func removal() {
        var array = OwnedArray<Int>()
        for number in 0..<20 { array.append(number) }
        array.removeFirst(5)
        array.removeAll(from: 10)
        #expect((0..<array.count).map { array[$0] } == Array(5..<15))
        array.removeFirst(0)
        array.removeAll(from: 10)
        #expect(array.count == 10)
        array.removeFirst(10)
        #expect(array.count == 0)
        #expect(array.popLast() == nil)
        array.append(7)
        array.removeAll()
        let isEmpty = array.isEmpty
        #expect(isEmpty)
    }

    @Test("an element is freed when it is removed, and all with the array") func freeing() {
        final class Element {}
        weak var first: Element?
        weak var second: Element?
        weak var third: Element?
        func fill(_ array: inout OwnedArray<Element>) {
            let elements = [Element(), Element(), Element()]
            (first, second, third) = (elements[0], elements[1], elements[2])
            for element in elements { array.append(element) }
        }
        func use() {
            var array = OwnedArray<Element>()
            fill(&array)
            array.removeFirst(1)
            #expect(first == nil && second != nil && third != nil)
            array.removeAll(from: 1)
            #expect(second != nil && third == nil)
        }
        use()
        #expect(second == nil)
    }
}
