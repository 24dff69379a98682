"""Thirty-odd small Python functions, each with the ways to ask for it and a line of explanation.

The corpus builder runs every one of them against `CHECKS` (test_train.py), so the model never learns code that fails.
"""
from .split import held_out

# (names of the task, code, explanation); the first name is the one the standard prompt uses
PROGRAMS = [
    (["calculate fibonacci", "calculate the Fibonacci numbers", "compute the n-th Fibonacci number", "find the nth fibonacci number"], "def fibonacci(n):\n    a, b = 0, 1\n    for i in range(n):\n        a, b = b, a + b\n    return a", "This function returns the n-th Fibonacci number. It starts with 0 and 1 and adds the last two numbers again and again."),
    (["calculate the factorial", "calculate the factorial of a number", "compute the factorial of n"], "def factorial(n):\n    result = 1\n    for i in range(2, n + 1):\n        result = result * i\n    return result", "This function multiplies all the numbers from 1 to n."),
    (["check if a number is prime", "test whether a number is prime"], "def is_prime(n):\n    if n < 2:\n        return False\n    for i in range(2, int(n ** 0.5) + 1):\n        if n % i == 0:\n            return False\n    return True", "This function tries every possible divisor up to the square root of n."),
    (["reverse a string", "turn a string around"], "def reverse(text):\n    return text[::-1]", "This function reads the text from the end to the beginning."),
    (["find the greatest common divisor", "compute the gcd of two numbers"], "def gcd(a, b):\n    while b:\n        a, b = b, a % b\n    return a", "This is the algorithm of Euclid. It replaces the larger number by the remainder until nothing is left."),
    (["find the least common multiple", "compute the lcm of two numbers"], "def lcm(a, b):\n    x, y = a, b\n    while y:\n        x, y = y, x % y\n    return a * b // x", "This function divides the product by the greatest common divisor."),
    (["calculate the average of a list", "compute the mean of a list"], "def average(numbers):\n    return sum(numbers) / len(numbers)", "This function adds all the numbers and divides by how many there are."),
    (["check if a word is a palindrome", "test for a palindrome"], "def is_palindrome(word):\n    word = word.lower()\n    return word == word[::-1]", "This function compares the word with its reverse."),
    (["find the largest number in a list", "find the maximum of a list"], "def largest(numbers):\n    best = numbers[0]\n    for x in numbers:\n        if x > best:\n            best = x\n    return best", "This function keeps the largest number it has seen so far."),
    (["find the smallest number in a list", "find the minimum of a list"], "def smallest(numbers):\n    best = numbers[0]\n    for x in numbers:\n        if x < best:\n            best = x\n    return best", "This function keeps the smallest number it has seen so far."),
    (["count the vowels in a text", "count vowels"], "def count_vowels(text):\n    count = 0\n    for c in text.lower():\n        if c in \"aeiou\":\n            count = count + 1\n    return count", "This function looks at every letter and counts the vowels."),
    (["count the words in a text", "count words"], "def count_words(text):\n    return len(text.split())", "This function splits the text at the spaces and counts the parts."),
    (["add two numbers", "compute the sum of two numbers"], "def add(a, b):\n    return a + b", "This function returns the sum of a and b."),
    (["add all the numbers in a list", "sum a list"], "def total(numbers):\n    result = 0\n    for x in numbers:\n        result = result + x\n    return result", "This function adds the numbers one after another."),
    (["check if a number is even", "test whether a number is even"], "def is_even(n):\n    return n % 2 == 0", "A number is even when dividing it by 2 leaves nothing."),
    (["sort a list with bubble sort", "implement bubble sort"], "def bubble_sort(items):\n    items = list(items)\n    for end in range(len(items) - 1, 0, -1):\n        for i in range(end):\n            if items[i] > items[i + 1]:\n                items[i], items[i + 1] = items[i + 1], items[i]\n    return items", "This function swaps neighbors that are in the wrong order until the list is sorted."),
    (["sort a list with quicksort", "implement quicksort"], "def quicksort(items):\n    if len(items) < 2:\n        return list(items)\n    pivot = items[0]\n    smaller = [x for x in items[1:] if x < pivot]\n    larger = [x for x in items[1:] if x >= pivot]\n    return quicksort(smaller) + [pivot] + quicksort(larger)", "This function splits the list into smaller and larger items and sorts both parts."),
    (["search a sorted list", "do a binary search", "implement binary search"], "def binary_search(items, target):\n    low, high = 0, len(items) - 1\n    while low <= high:\n        middle = (low + high) // 2\n        if items[middle] == target:\n            return middle\n        if items[middle] < target:\n            low = middle + 1\n        else:\n            high = middle - 1\n    return -1", "This function cuts the list in half at each step. It returns -1 when the target is not there."),
    (["remove duplicates from a list", "find the unique items of a list"], "def unique(items):\n    seen = []\n    for x in items:\n        if x not in seen:\n            seen.append(x)\n    return seen", "This function keeps the first of each item."),
    (["convert Celsius to Fahrenheit", "turn Celsius into Fahrenheit"], "def to_fahrenheit(celsius):\n    return celsius * 9 / 5 + 32", "This function multiplies by 9, divides by 5 and adds 32."),
    (["convert Fahrenheit to Celsius", "turn Fahrenheit into Celsius"], "def to_celsius(fahrenheit):\n    return (fahrenheit - 32) * 5 / 9", "This function subtracts 32, multiplies by 5 and divides by 9."),
    (["calculate the power of a number", "raise a number to a power"], "def power(base, exponent):\n    result = 1\n    for i in range(exponent):\n        result = result * base\n    return result", "This function multiplies the base by itself as often as the exponent says."),
    (["say hello", "greet a person"], "def greet(name):\n    return \"Hello, \" + name + \"!\"", "This function puts the name into a greeting."),
    (["calculate the area of a circle", "find the area of a circle"], "import math\n\ndef circle_area(radius):\n    return math.pi * radius ** 2", "The area of a circle is pi times the radius squared."),
    (["calculate the area of a rectangle", "find the area of a rectangle"], "def rectangle_area(width, height):\n    return width * height", "The area of a rectangle is its width times its height."),
    (["check if a year is a leap year", "test for a leap year"], "def is_leap_year(year):\n    if year % 400 == 0:\n        return True\n    if year % 100 == 0:\n        return False\n    return year % 4 == 0", "A year is a leap year when 4 divides it, except for full centuries that 400 does not divide."),
    (["print the numbers from 1 to n", "count from 1 to n"], "def count_to(n):\n    for i in range(1, n + 1):\n        print(i)", "This function prints one number a line."),
    (["play fizzbuzz", "solve fizzbuzz"], "def fizzbuzz(n):\n    if n % 15 == 0:\n        return \"FizzBuzz\"\n    if n % 3 == 0:\n        return \"Fizz\"\n    if n % 5 == 0:\n        return \"Buzz\"\n    return str(n)", "This function says Fizz for multiples of 3, Buzz for multiples of 5, and FizzBuzz for both."),
    (["count how often each letter occurs", "count the letters in a text"], "def count_letters(text):\n    counts = {}\n    for c in text:\n        counts[c] = counts.get(c, 0) + 1\n    return counts", "This function keeps one counter for each letter in a dictionary."),
    (["find the digits sum of a number", "add the digits of a number"], "def digit_sum(n):\n    total = 0\n    while n > 0:\n        total = total + n % 10\n        n = n // 10\n    return total", "This function takes the last digit, adds it, and goes on with the rest."),
    (["convert a number to binary", "turn a number into binary"], "def to_binary(n):\n    if n == 0:\n        return \"0\"\n    digits = \"\"\n    while n > 0:\n        digits = str(n % 2) + digits\n        n = n // 2\n    return digits", "This function divides by 2 again and again and keeps the remainders."),
    (["merge two sorted lists", "merge sorted lists"], "def merge(a, b):\n    result = []\n    i = j = 0\n    while i < len(a) and j < len(b):\n        if a[i] <= b[j]:\n            result.append(a[i])\n            i = i + 1\n        else:\n            result.append(b[j])\n            j = j + 1\n    return result + a[i:] + b[j:]", "This function always takes the smaller of the two first items."),
]
CHECKS = ["fibonacci(10) == 55", "factorial(5) == 120", "is_prime(97) and not is_prime(91) and not is_prime(1)", "reverse('abc') == 'cba'", "gcd(12, 18) == 6", "lcm(4, 6) == 12",
          "average([1, 2, 6]) == 3", "is_palindrome('Anna') and not is_palindrome('Tom')", "largest([3, 9, 2]) == 9", "smallest([3, 9, 2]) == 2", "count_vowels('Banana') == 3",
          "count_words('a b c') == 3", "add(2, 3) == 5", "total([1, 2, 3]) == 6", "is_even(4) and not is_even(5)", "bubble_sort([3, 1, 2]) == [1, 2, 3]", "quicksort([3, 1, 2, 1]) == [1, 1, 2, 3]",
          "binary_search([1, 4, 9], 9) == 2 and binary_search([1], 5) == -1", "unique([1, 2, 1]) == [1, 2]", "to_fahrenheit(100) == 212", "to_celsius(212) == 100", "power(2, 10) == 1024",
          "greet('Mia') == 'Hello, Mia!'", "3.14 < circle_area(1) < 3.15", "rectangle_area(2, 3) == 6", "is_leap_year(2000) and not is_leap_year(1900) and is_leap_year(2024)",
          "count_to(0) is None", "fizzbuzz(15) == 'FizzBuzz' and fizzbuzz(7) == '7'", "count_letters('aab') == {'a': 2, 'b': 1}", "digit_sum(123) == 6", "to_binary(10) == '1010'", "merge([1, 3], [2]) == [1, 2, 3]"]


def prompt_for(r, task: str) -> str:
    return r.choice([f"Write a Python function to {task}:"] * 3 + [
        f"Write a Python function to {task}.", f"Write a Python function to {task}", f"How do I {task} in Python?", f"Write a function in Python to {task}.",
        f"Can you write a Python function to {task}?", f"Show me how to {task} in Python."])


def answer(r, program: int) -> str:
    _, code, explanation = PROGRAMS[program]
    return code + ("\n\n" + explanation if r.random() < 0.75 else "")


def exchange(r, held: bool = False) -> tuple[str, str]:
    while True:
        program = 0 if r.random() < 0.1 else r.randrange(len(PROGRAMS))
        prompt = prompt_for(r, r.choice(PROGRAMS[program][0]))
        if (held_out(prompt, 12) and "fibonacci:" not in prompt) == held:
            return prompt, answer(r, program)
